//! From raw values to what a network reads, with NumPy: columns of tables, windows of series, images.

use std::fmt::Write;

use super::{Code, Request, list, number, quoted, refuse};
use crate::data::cells::MISSING_MARKERS;
use crate::data::config::{Calendar, Gaps, ImageFit, Missing, ScaleBy};
use crate::data::{Encoding, FittedColumn, FittedImage, FittedWindow};
use crate::train::TrainError;

/// The code that prepares rows and the program that reads them.
pub struct Features {
    /// What it does.
    pub what: String,
    /// What it is given.
    pub usage: &'static str,
    /// The function `features`.
    pub code: String,
    /// The functions `predict` and `main`.
    pub program: String,
}

/// The functions that prepare rows as the run does.
///
/// # Errors
/// If a column is encoded in a way that has no form there.
pub fn write(code: &mut Code, request: &Request) -> Result<Features, TrainError> {
    let fitted = request.fitted;
    if let Some(image) = &fitted.image {
        return images(code, image);
    }
    code.part("read_table");
    code.part("cells");
    code.constant("MISSING", missing());
    if let Some(window) = &fitted.window {
        return windows(code, request, window);
    }
    let mut ids = vec![];
    let mut parts = vec![];
    for column in &fitted.columns {
        match &column.encoding {
            Encoding::Embedding { fill, forward, names } => {
                code.part("places");
                let before = before(*forward, false);
                let fill = fill.as_deref().map_or("None".into(), quoted);
                ids.push(format!(
                    "places(table, {}, {}, {fill}{before}) + 1",
                    quoted(&column.name),
                    list(names)
                ));
            }
            _ => parts.push(encoded(code, column, false)?),
        }
    }
    let mut text = String::from(
        "def features(table):\n    \"\"\"What the network reads of the rows of a table: numbers, and places of names.\"\"\"\n",
    );
    let mut results = vec![];
    if !parts.is_empty() {
        let _ = writeln!(text, "    numbers = [\n        {},\n    ]", parts.join(",\n        "));
        results.push("numpy.concatenate(numbers, 1)".to_string());
    }
    results.extend(ids);
    let _ = writeln!(text, "    return [\n        {},\n    ]\n", results.join(",\n        "));
    let program = program(
        "def predict(model, table):\n    \"\"\"Predictions by name for a table: columns of texts by name.\"\"\"\n    \
         return meaning(run(model, *features(table)))\n",
        "predict(load(), read_table(sys.argv[1]))",
    );
    let usage = "rows.csv";
    Ok(Features { what: "it predicts the rows of a table".into(), usage, code: text, program })
}

fn program(predict: &str, call: &str) -> String {
    format!(
        "{predict}\n\ndef main():\n    if len(sys.argv) != 2 or sys.argv[1] in ('-h', '--help'):\n        raise SystemExit(__doc__)\n    columns = {call}\n    \
         writer = csv.writer(sys.stdout, lineterminator=\"\\n\")\n    writer.writerow(columns)\n    \
         writer.writerows(zip(*columns.values()))\n\n\nif __name__ == \"__main__\":\n    main()"
    )
}

/// The texts that mark missing values.
fn missing() -> String {
    let words: Vec<&str> = std::iter::once("").chain(MISSING_MARKERS).collect();
    format!("set({})", list(&words))
}

/// The argument that fills from the row before: of the whole file, or of the same series.
fn before(forward: bool, series: bool) -> String {
    if !forward {
        return String::new();
    }
    let rows = if series { "groups" } else { "[range(len(next(iter(table.values()))))]" };
    format!(", before={rows}")
}

/// The features of a column: an expression `[rows, features]`.
fn encoded(code: &mut Code, column: &FittedColumn, series: bool) -> Result<String, TrainError> {
    let name = quoted(&column.name);
    Ok(match &column.encoding {
        Encoding::Number { boolean, fill, forward, clip, scaling, indicator } => {
            code.part("number");
            let before = before(*forward, series);
            let scaling = code.scaling(scaling, false);
            let mut more = String::new();
            if let Some([low, high]) = clip {
                let _ = write!(more, ", clip=({}, {})", number(*low), number(*high));
            }
            if *indicator {
                more += ", indicator=True";
            }
            if *boolean {
                more += ", boolean=True";
            }
            format!("number(table, {name}, {scaling}, {}{more}{before})", number(*fill))
        }
        Encoding::OneHot { fill, forward, names } => {
            code.part("one_hot");
            let before = before(*forward, series);
            let fill = fill.as_deref().map_or("None".into(), quoted);
            format!("one_hot(table, {name}, {}, {fill}{before})", list(names))
        }
        Encoding::Calendar { parts, cyclic } => {
            code.part("calendar");
            let parts: Vec<&str> = parts.iter().map(|part| calendar_name(*part)).collect();
            let cyclic = if *cyclic { "True" } else { "False" };
            format!("calendar(table, {name}, {}, {cyclic})", list(&parts))
        }
        Encoding::Embedding { .. } => {
            return Err(refuse(&format!("an embedding of `{}` in windows", column.name)));
        }
    })
}

fn calendar_name(part: Calendar) -> &'static str {
    match part {
        Calendar::Hour => "hour",
        Calendar::Weekday => "weekday",
        Calendar::Month => "month",
        Calendar::DayOfYear => "day_of_year",
        Calendar::Year => "year",
    }
}

fn windows(code: &mut Code, request: &Request, window: &FittedWindow) -> Result<Features, TrainError> {
    let config = &window.config;
    let refused = [
        (config.relative, "`data.window.relative`"),
        (config.resample.is_some(), "`data.window.resample`"),
        (config.missing == Missing::Mask, "`data.window.missing = \"mask\"`"),
        (config.scale_by == ScaleBy::Group, "`data.window.scale_by = \"group\"`"),
        (window.past.is_empty(), "windows of classes"),
    ];
    if let Some((_, what)) = refused.into_iter().find(|(is, _)| *is) {
        return Err(refuse(what));
    }
    let columns = &request.fitted.columns;
    let (now, later) = columns.split_at(columns.len() - window.future.min(columns.len()));
    let offsets: Vec<String> =
        config.offsets().filter(|_| !later.is_empty()).map(|ahead| ahead.to_string()).collect();
    // Where nothing but the calendar is read of them, rows after the end are known.
    let is_known = |column: &FittedColumn| matches!(column.encoding, Encoding::Calendar { .. });
    let beyond = if config.time.is_some() && later.iter().all(is_known) { config.horizon } else { 0 };
    let gaps = match config.gaps {
        Gaps::Refuse => "refuse",
        Gaps::Drop => "drop",
        Gaps::Fill => "fill",
        Gaps::Ignore => "ignore",
    };
    let names: Vec<&str> = window.past.iter().map(|(name, _)| name.as_str()).collect();
    let scalings: Vec<String> = window.past.iter().map(|(_, scaling)| code.scaling(scaling, false)).collect();
    let text = |name: &Option<String>| name.as_deref().map_or("None".into(), quoted);
    code.constant("LENGTH", config.length.to_string());
    code.constant("HORIZON", config.horizon.to_string());
    code.constant("STRIDE", config.stride.to_string());
    code.constant("OFFSETS", format!("[{}]", offsets.join(", ")));
    code.constant("BEYOND", beyond.to_string());
    code.constant("TIME", text(&config.time));
    code.constant("GROUP", text(&config.group));
    code.constant("GAPS", quoted(gaps));
    code.constant("TARGETS", list(&names));
    code.part("windows");
    let mut body = format!("SCALINGS = [{}]\n\n\n", scalings.join(", "));
    body += "def columns(table, groups):\n    \"\"\"What is read of the rows of a window, and of rows known in advance.\"\"\"\n    \
             none = numpy.zeros((len(next(iter(table.values()))), 0), numpy.float32)\n";
    for (name, columns) in [("now", now), ("later", later)] {
        let parts: Result<Vec<String>, TrainError> =
            columns.iter().map(|column| encoded(code, column, true)).collect();
        let parts: String = parts?.iter().map(|part| format!(",\n        {part}")).collect();
        let _ = writeln!(body, "    {name} = [none{parts}]");
    }
    body += "    return numpy.concatenate(now, 1), numpy.concatenate(later, 1)\n";
    let predict = "def predict(model, table):\n    \"\"\"Predictions by name for the windows of a table, after the time and \
                   series of the row that the last one is of.\"\"\"\n    x, said = windows(table)\n    return {**said, \
                   **meaning(run(model, x.reshape(len(x), -1)))}\n";
    let program = program(predict, "predict(load(), read_table(sys.argv[1]))");
    let usage = "rows.csv";
    Ok(Features { what: "it forecasts from windows of a series".into(), usage, code: body, program })
}

fn images(code: &mut Code, image: &FittedImage) -> Result<Features, TrainError> {
    if image.scaling.len() != image.shape.channels {
        return Err(refuse("images whose channels have no scaling each"));
    }
    let shape = image.shape;
    code.part("single");
    code.constant("SHAPE", format!("({}, {}, {})", shape.channels, shape.height, shape.width));
    let scalings: Vec<String> = image.scaling.iter().map(|scaling| code.scaling(scaling, false)).collect();
    let body = format!(
        "SCALINGS = [{}]\n\n\ndef features(images):\n    \"\"\"What the network reads of images [rows, channels, height, \
         width] with the values of their files.\"\"\"\n    images = numpy.asarray(images, numpy.float64).reshape(-1, \
         *SHAPE)\n    channels = [scaling(images[:, at]) for at, scaling in enumerate(SCALINGS)]\n    return \
         single(numpy.stack(channels, 1).reshape(len(images), -1))\n",
        scalings.join(", ")
    );
    let predict = "def predict(model, images):\n    \"\"\"Predictions by name for images.\"\"\"\n    return meaning(run(model, \
                   features(images)))\n";
    if image.columns.is_empty() {
        code.part("images");
        code.constant(
            "FIT",
            match image.fit {
                ImageFit::Squash => "\"squash\"",
                ImageFit::Pad => "\"pad\"",
                ImageFit::Crop => "\"crop\"",
            },
        );
        let read = "def read(path):\n    \"\"\"Names, if they have any, and values of images.\"\"\"\n    return \
                    images(path, SHAPE, FIT)\n\n\n";
        let call = "predictions(sys.argv[1])";
        let all = "\n\ndef predictions(path):\n    names, found = read(path)\n    return {**names, **predict(load(), \
                   found)}\n";
        let usage = "pictures";
        let what = "it predicts images: a folder of pictures, a picture, or an array [rows, channels, height, width] (.npy, \
                    IDX). Pillow reads\npictures; JPEG, which each reader rounds otherwise, may differ in the third digit"
            .into();
        let program = program(&format!("{predict}{all}"), call);
        return Ok(Features { what, usage, code: format!("{read}{body}"), program });
    }
    code.part("read_table");
    code.part("cells");
    code.constant("MISSING", missing());
    let pixels = format!(
        "def pixels(table):\n    \"\"\"The images of the rows of a table.\"\"\"\n    names = {}\n    return \
         numpy.array([[float(cell) for cell in cells(table, name)] for name in names]).T\n\n\n",
        list(&image.columns)
    );
    let usage = "rows.csv";
    let what = "it predicts images, the pixels of which are columns of a table".into();
    let program = program(predict, "predict(load(), pixels(read_table(sys.argv[1])))");
    Ok(Features { what, usage, code: format!("{pixels}{body}"), program })
}
