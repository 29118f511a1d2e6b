//! Times that can be read in several ways.

/// Why it cannot be told how the dates of a column are meant. Each comes with one of the cells.
pub enum Doubt {
    /// Day, month and year may stand in several orders.
    Order(String),
    /// Years of two digits may be of two centuries.
    Century(String),
    /// One time has an offset from UTC, and another has none.
    Offsets(String, String),
    /// One Unix time is in seconds, and another in milliseconds.
    Units(f64, f64),
}

impl Doubt {
    /// What to do about it.
    pub fn reason(&self) -> String {
        match self {
            Self::Order(sample) => format!(
                "holds dates such as \"{sample}\", in which day, month and year may stand in several orders; set \
                 `data.csv.dates` to \"dmy\", \"mdy\" or \"ymd\""
            ),
            Self::Century(sample) => format!(
                "holds dates such as \"{sample}\", whose year may be of the 20th or of the 21st century; set \
                 `data.csv.first_year` to the first of the hundred years that are meant, such as 1925 or 1969, or the column's \
                 type in `data.types` to \"category\" if they are no dates"
            ),
            Self::Offsets(with, without) => format!(
                "holds times with an offset from UTC, such as \"{with}\", and without one, such as \"{without}\", \
                 which may be another zone's; write all in one way"
            ),
            Self::Units(seconds, milliseconds) => format!(
                "holds Unix times in seconds, such as {seconds}, and in milliseconds, such as {milliseconds}; write all in \
                 one unit, or set `data.types` to \"number\" if they are no times"
            ),
        }
    }
}
