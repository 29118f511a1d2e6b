//! By tables of this program.

use std::borrow::Cow;

use unicode_normalization::{UnicodeNormalization, is_nfc};

/// How characters are written as bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoding(&'static encoding_rs::Encoding);

impl Encoding {
    /// Of Unicode, as programs write today.
    pub const UTF_8: Self = Self(encoding_rs::UTF_8);
    /// Of Unicode in pairs of bytes, the lower one first.
    pub const UTF_16LE: Self = Self(encoding_rs::UTF_16LE);
    /// Of Unicode in pairs of bytes, the higher one first.
    pub const UTF_16BE: Self = Self(encoding_rs::UTF_16BE);
    /// Of western European letters.
    pub const WINDOWS_1252: Self = Self(encoding_rs::WINDOWS_1252);

    /// The encoding that people call so (`latin1`).
    pub fn for_label(label: &[u8]) -> Option<Self> {
        encoding_rs::Encoding::for_label(label).map(Self)
    }

    /// The encoding that a byte order mark tells.
    pub fn for_bom(bytes: &[u8]) -> Option<Self> {
        encoding_rs::Encoding::for_bom(bytes).map(|(encoding, _)| Self(encoding))
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// The text, in the encoding of the byte order mark if there is one; `None` if the bytes are none.
    pub fn decode(self, bytes: &[u8]) -> Option<String> {
        let (text, _, wrong) = self.0.decode(bytes);
        (!wrong).then(|| text.into_owned())
    }
}

/// A text with composed characters (Unicode's NFC).
pub fn composed(text: &str) -> Cow<'_, str> {
    if is_nfc(text) { text.into() } else { text.nfc().collect::<String>().into() }
}
