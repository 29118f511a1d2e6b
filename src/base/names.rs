//! Names: the form in which they are compared, and suggestions for mistyped ones.

use std::borrow::Cow;

use super::text::composed;

/// A text in the normal form in which equal names have equal bytes: `é` may be one character or two (Unicode's NFC).
pub fn normal(text: &str) -> Cow<'_, str> {
    if text.is_ascii() { text.into() } else { composed(text) }
}

/// Returns `; did you mean `x`?` if a name in `known` resembles `name`, else lists the first few names.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.collect();
    // Case alone is no difference.
    let lower = name.to_lowercase();
    let likeness = |k: &str| strsim::jaro_winkler(&lower, &k.to_lowercase());
    let best = known.iter().map(|k| (likeness(k), *k)).max_by(|a, b| a.0.total_cmp(&b.0));
    match best {
        None => "; there are none".into(),
        Some((likeness, best)) if likeness > 0.8 => format!("; did you mean `{best}`?"),
        _ => {
            let shown: Vec<&str> = known.iter().take(12).copied().collect();
            let more = if known.len() > shown.len() { ", ..." } else { "" };
            let verb = if shown.len() == 1 { "is only" } else { "are" };
            format!("; there {verb} {}{more}", shown.join(", "))
        }
    }
}
