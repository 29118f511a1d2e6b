//! Columns that hold one value for each series.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::doubts::Doubt;
use crate::data::config::DataConfig;
use crate::data::table::Table;

/// Advice for a column of `different` values that holds one for each series, and is not in `static`.
pub(super) fn advice(config: &DataConfig, table: &Table, at: usize, different: usize) -> Option<Doubt> {
    let window = config.window.as_ref()?;
    let group = table.find(window.group.as_ref()?).ok()?;
    let name = &table.names[at];
    let others = [&window.group, &window.time];
    let listed = [&window.constant, &window.known_future, &window.targets, &config.exclude];
    if different < 2
        || crate::data::is_target(config, name)
        || others.iter().any(|other| other.as_ref() == Some(name))
        || listed.iter().any(|list| list.contains(name))
        || config.split.column() == Some(name)
    {
        return None;
    }
    let mut values = BTreeMap::<Cow<'_, str>, Cow<'_, str>>::new();
    for row in 0..table.lines.len() {
        let value = table.cell(at, row);
        match values.get(&table.cell(group, row)) {
            Some(known) if *known == value => {}
            Some(_) => return None,
            None => _ = values.insert(table.cell(group, row), value),
        }
    }
    // With a row for each series, any column would.
    (2 * values.len() <= table.lines.len()).then(|| Doubt {
        text: "holds one value for each series".into(),
        mend: format!("window = {{ static = [\"{name}\"] }}"),
    })
}
