//! Texts in other encodings, and Unicode's normal form: by tables of this program, or, in a browser, by those that it has.

#[cfg(target_family = "wasm")]
mod browser;
#[cfg(not(target_family = "wasm"))]
mod tables;

#[cfg(target_family = "wasm")]
pub use browser::*;
#[cfg(not(target_family = "wasm"))]
pub use tables::*;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_text_in_an_encoding_or_wrong() {
        let latin = Encoding::for_label(b" Latin1 ").unwrap();
        assert_eq!((latin, latin.name()), (Encoding::WINDOWS_1252, "windows-1252"));
        assert_eq!(latin.decode(b"caf\xe9 \x80"), Some("café €".to_string()));
        assert_eq!(Encoding::UTF_16LE.decode(b"a\0\xe9\0"), Some("aé".into()));
        assert_eq!(
            Encoding::UTF_8.decode(b"\xef\xbb\xbfa"),
            Some("a".into()),
            "a byte order mark is no text"
        );
        assert_eq!(Encoding::UTF_8.decode(b"\xff\xfea\0"), Some("a".into()), "it tells the encoding");
        assert_eq!(Encoding::UTF_8.decode(b"caf\xe9"), None);
        assert_eq!(Encoding::for_bom(b"\xfe\xff\0a"), Some(Encoding::UTF_16BE));
        assert_eq!(Encoding::for_bom(b"ab"), None);
        assert_eq!(Encoding::for_label(b"klingon"), None);
    }

    #[test]
    fn equal_letters_have_equal_bytes() {
        assert_eq!(composed("cafe\u{301}"), "café");
        assert_eq!(composed("café"), "café");
    }
}
