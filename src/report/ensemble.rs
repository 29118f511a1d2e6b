//! The page of an ensemble.

use super::svg::escape;
use super::tables::table;
use super::{head, section};
use crate::base::number::{Numbers, figure};

/// The contents of the page.
pub struct Ensemble<'a> {
    /// Name of the experiment.
    pub name: &'a str,
    /// What the model does: `predicts price`.
    pub subject: &'a str,
    /// `validation` or `test`.
    pub part: &'a str,
    /// Seed of each member, the folder of its report, and its metrics.
    pub members: &'a [(u64, String, Numbers)],
    /// Metrics of their mean.
    pub metrics: &'a Numbers,
    /// Further sections, as HTML.
    pub sections: &'a str,
}

impl Ensemble<'_> {
    /// The page.
    pub fn html(&self) -> String {
        let count = self.members.len();
        let mut page = head(self.name, &format!("{} · mean of {count} models", self.subject));
        let mean = |name: &str| {
            let of = self.members.iter().filter_map(|(.., metrics)| metrics.get(name));
            of.sum::<f64>() / count as f64
        };
        let row = |(name, value): &(&'static str, f64)| {
            let each = self.members.iter().map(|(.., m)| m.get(name).map_or_else(String::new, figure));
            let own = [name.to_string(), figure(*value), figure(mean(name))];
            own.into_iter().chain(each).collect::<Vec<_>>()
        };
        let rows: Vec<Vec<String>> = self.metrics.0.iter().map(row).collect();
        let seeds: Vec<String> = self.members.iter().map(|(seed, ..)| format!("seed {seed}")).collect();
        let titles: Vec<&str> =
            ["", "ensemble", "mean of members"].into_iter().chain(seeds.iter().map(String::as_str)).collect();
        let links = self.members.iter().map(|(seed, folder, _)| {
            format!("<li><a href=\"{0}/report.html\">{0}</a>, seed {seed}</li>\n", escape(folder))
        });
        let list = format!("<ul>\n{}</ul>\n", links.collect::<String>());
        page += &section(&format!("Metrics on the {} rows", self.part), &table(&titles, &rows, 1));
        page += self.sections;
        page += &section("Members", &list);
        page + "</body>\n</html>\n"
    }
}
