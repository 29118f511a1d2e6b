//! By the browser, whose `TextDecoder` follows the same standard: the tables would be a tenth of the engine.

#![allow(unsafe_code, reason = "wasm_bindgen writes it for the declarations")]

use std::borrow::Cow;

use js_sys::{JsString, Object, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    type TextDecoder;

    #[wasm_bindgen(constructor, catch)]
    fn new(label: &str, options: &Object) -> Result<TextDecoder, JsValue>;

    #[wasm_bindgen(method, getter)]
    fn encoding(this: &TextDecoder) -> String;

    #[wasm_bindgen(method, catch)]
    fn decode(this: &TextDecoder, bytes: &Uint8Array) -> Result<String, JsValue>;
}

/// The names of all encodings, as the program calls them.
const NAMES: [&str; 39] = [
    "Big5",
    "EUC-JP",
    "EUC-KR",
    "GBK",
    "IBM866",
    "ISO-2022-JP",
    "ISO-8859-10",
    "ISO-8859-13",
    "ISO-8859-14",
    "ISO-8859-15",
    "ISO-8859-16",
    "ISO-8859-2",
    "ISO-8859-3",
    "ISO-8859-4",
    "ISO-8859-5",
    "ISO-8859-6",
    "ISO-8859-7",
    "ISO-8859-8",
    "ISO-8859-8-I",
    "KOI8-R",
    "KOI8-U",
    "Shift_JIS",
    "UTF-16BE",
    "UTF-16LE",
    "UTF-8",
    "gb18030",
    "macintosh",
    "windows-1250",
    "windows-1251",
    "windows-1252",
    "windows-1253",
    "windows-1254",
    "windows-1255",
    "windows-1256",
    "windows-1257",
    "windows-1258",
    "windows-874",
    "x-mac-cyrillic",
    "x-user-defined",
];

/// How characters are written as bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoding(&'static str);

impl Encoding {
    /// Of Unicode, as programs write today.
    pub const UTF_8: Self = Self("UTF-8");
    /// Of Unicode in pairs of bytes, the lower one first.
    pub const UTF_16LE: Self = Self("UTF-16LE");
    /// Of Unicode in pairs of bytes, the higher one first.
    pub const UTF_16BE: Self = Self("UTF-16BE");
    /// Of western European letters.
    pub const WINDOWS_1252: Self = Self("windows-1252");

    /// The encoding that people call so (`latin1`).
    pub fn for_label(label: &[u8]) -> Option<Self> {
        let found = decoder(std::str::from_utf8(label).ok()?)?.encoding();
        NAMES.into_iter().find(|name| name.eq_ignore_ascii_case(&found)).map(Self)
    }

    /// The encoding that a byte order mark tells.
    pub fn for_bom(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0xef, 0xbb, 0xbf, ..] => Some(Self::UTF_8),
            [0xff, 0xfe, ..] => Some(Self::UTF_16LE),
            [0xfe, 0xff, ..] => Some(Self::UTF_16BE),
            _ => None,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.0
    }

    /// The text, in the encoding of the byte order mark if there is one; `None` if the bytes are none.
    pub fn decode(self, bytes: &[u8]) -> Option<String> {
        let Self(name) = Self::for_bom(bytes).unwrap_or(self);
        decoder(name)?.decode(&Uint8Array::from(bytes)).ok()
    }
}

/// A decoder that refuses what is no text.
fn decoder(label: &str) -> Option<TextDecoder> {
    let options = Object::new();
    Reflect::set(&options, &"fatal".into(), &true.into()).ok()?;
    TextDecoder::new(label, &options).ok()
}

/// A text with composed characters (Unicode's NFC).
pub fn composed(text: &str) -> Cow<'_, str> {
    String::from(JsString::from(text).normalize("NFC")).into()
}
