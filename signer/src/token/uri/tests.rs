//! URIs of the wild are read, hostile ones are refused by name, none panics, and what is written reads back.

use super::*;
use proptest::prelude::*;

fn read(text: &str) -> Result<TokenUri, UriError> {
    text.parse()
}

/// The error of a URI whose path is `token=t` and what follows.
fn error(rest: &str) -> UriError {
    read(&format!("pkcs11:token=t{rest}")).unwrap_err()
}

#[test]
fn a_full_uri_is_read_and_decoded() {
    let uri = read(
        "pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;model=1.0;serial=4a;\
         ?module-path=/usr/lib/x%2b.so&pin-source=file:/etc/token_pin",
    );
    assert_eq!(uri, Err(UriError::Form(5)));
    let uri = read(
        "PKCS11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;model=1.0;serial=4a\
         ?module-path=/usr/lib/x%2b.so&pin-source=file:/etc/token_pin",
    )
    .unwrap();
    assert_eq!(uri.label, "The Software PKCS#11 Softtoken");
    assert_eq!((uri.serial.as_deref(), uri.model.as_deref()), (Some("4a"), Some("1.0")));
    assert_eq!(uri.manufacturer.as_deref(), Some("Snake Oil, Inc."));
    assert_eq!(uri.module, Some("/usr/lib/x+.so".into()));
    assert_eq!(uri.pin, Some(PinSource::File("/etc/token_pin".into())));
}

#[test]
fn the_label_alone_is_enough_for_the_parser() {
    let uri = read("pkcs11:token=%C3%BCber").unwrap();
    assert_eq!((uri.label.as_str(), uri.serial, uri.module, uri.pin), ("\u{fc}ber", None, None, None));
    assert_eq!(read("pkcs11:"), Err(UriError::NoToken));
    assert_eq!(read("pkcs11:serial=1"), Err(UriError::NoToken));
}

#[test]
fn every_way_to_name_a_pin_source_is_read_and_no_other() {
    for (text, wanted) in [
        ("file:/a", "file:/a"),
        ("file:///a/b", "file:/a/b"),
        ("credential:pin", "credential:pin"),
        ("prompt", "prompt"),
    ] {
        let uri = read(&format!("pkcs11:token=t?pin-source={text}")).unwrap();
        assert_eq!(uri.pin.unwrap().to_string(), wanted);
    }
    for text in ["file://host/a", "file:a", "/a", "%7C/bin/sh", "|/bin/sh", "https://x/", "1234", "file://"] {
        assert_eq!(error(&format!("?pin-source={text}")), UriError::PinSource, "{text}");
    }
}

#[test]
fn a_pin_value_is_refused_with_its_reason_and_not_repeated() {
    let error = error("?pin-value=sesame&x-y=1");
    assert_eq!(error, UriError::PinValue);
    assert!(error.to_string().contains("never stands") && !error.to_string().contains("sesame"));
}

#[test]
fn what_stands_twice_is_refused() {
    assert_eq!(error(";token=t"), UriError::Twice("token".to_owned()));
    assert_eq!(error(";serial=1;serial=1"), UriError::Twice("serial".to_owned()));
    assert_eq!(error("?module-path=/a&module-path=/b"), UriError::Twice("module-path".to_owned()));
}

#[test]
fn bad_escapes_and_octets_that_are_no_text_are_refused() {
    for bad in ["%", "%4", "%zz", "%4g", "%%20", "%\u{fc}1", "%+1", "%-1"] {
        assert_eq!(error(&format!(";serial={bad}")), UriError::Escape("serial".to_owned()), "{bad}");
    }
    for bad in ["%ff", "%c3", "%c0%80", "%ed%a0%80", "%00", "a%0Ab", "%7f", "%c2%85"] {
        assert_eq!(error(&format!(";serial={bad}")), UriError::Text("serial".to_owned()), "{bad}");
    }
}

#[test]
fn characters_that_must_be_escaped_are_named() {
    for (bad, wanted) in
        [("a b", ' '), ("#x", '#'), ("\"", '"'), ("a/b", '/'), ("\u{fc}", '\u{fc}'), ("\n", '\n')]
    {
        let error = error(&format!(";serial={bad}"));
        assert_eq!(error, UriError::Character { name: "serial".to_owned(), character: wanted });
    }
    // What a path may not hold a query may.
    assert!(read("pkcs11:token=t?module-path=/a|b").is_ok());
    // Where ? and & are mixed up, what follows may be a PIN: it must not become a label or a path that messages show.
    assert_eq!(
        error("?module-path=/a?pin-value=1234"),
        UriError::Character { name: "module-path".to_owned(), character: '?' }
    );
    assert_eq!(
        error(";serial=1&pin-value=1234"),
        UriError::Character { name: "serial".to_owned(), character: '&' }
    );
    assert_eq!(
        error("?module-path=/a;b"),
        UriError::Character { name: "module-path".to_owned(), character: ';' }
    );
}

#[test]
fn empty_and_nameless_attributes_are_refused() {
    assert_eq!(error(";serial="), UriError::Empty("serial".to_owned()));
    for bad in [";", ";;serial=1", ";=1", ";serial", ";s erial=1", ";s\u{e9}rial=1"] {
        assert!(matches!(error(bad), UriError::Form(2)), "{bad}");
    }
    assert_eq!(error("?&"), UriError::Form(1));
}

#[test]
fn values_that_no_token_can_have_are_refused() {
    assert_eq!(error(";serial=12345678901234567"), UriError::Field { name: "serial", max: 16 });
    assert_eq!(error(";model=x%20"), UriError::Field { name: "model", max: 16 });
    let label = "l".repeat(33);
    assert_eq!(read(&format!("pkcs11:token={label}")), Err(UriError::Field { name: "token", max: 32 }));
    assert_eq!(error("?module-path=lib.so"), UriError::Module);
    assert_eq!(read(&format!("pkcs11:token={}", "x".repeat(URI_MAX))), Err(UriError::Long));
}

#[test]
fn attributes_that_are_not_looked_at_are_refused_with_the_reason() {
    for name in ["object", "type", "id", "slot-id", "slot-description", "library-version"] {
        let error = error(&format!(";{name}=x"));
        assert!(matches!(&error, UriError::Unused { name: named, .. } if named == name), "{error}");
    }
    assert!(error("?module-name=softhsm2").to_string().contains("module-path"));
    for rest in
        [";x-vendor=1", "?x-vendor=1", ";Serial=1", ";module-path=x", "?serial=1", ";pin-source=prompt"]
    {
        assert!(matches!(error(rest), UriError::Unknown(_)), "{rest}");
    }
}

#[test]
fn slashes_before_a_path_are_one() {
    for slashes in ["/", "///", "////", "/////////"] {
        let uri: TokenUri = format!("pkcs11:token=x?pin-source=file:{slashes}etc/pin").parse().unwrap();
        assert!(uri.to_string().ends_with("?pin-source=file%3A%2Fetc%2Fpin"), "{uri}");
        assert_eq!(uri.to_string().parse::<TokenUri>().unwrap().to_string(), uri.to_string());
    }
    assert!("pkcs11:token=x?pin-source=file://host/pin".parse::<TokenUri>().is_err());
}

#[test]
fn other_schemes_are_refused() {
    for text in ["", "pkcs11", "pkcs12:token=t", " pkcs11:token=t", "http://x", "pkcs1\u{b9}:token=t"] {
        assert_eq!(read(text), Err(UriError::Scheme), "{text}");
    }
}

/// A text that a field of `max` octets can hold.
fn field(max: usize) -> impl Strategy<Value = String> {
    "[^\\p{C}]{1,16}".prop_filter("fits the field", move |text: &String| {
        text.len() <= max
            && !text.chars().any(char::is_control)
            && text.trim_end() == text
            && !text.is_empty()
    })
}

proptest! {
    #[test]
    fn no_text_panics(text: String) {
        let _unused = read(&text);
        let _unused = read(&format!("pkcs11:{text}"));
    }

    #[test]
    fn nothing_like_a_uri_panics(text in "pkcs11:((token|serial|model|id|pin-value|x)(=)?(%)?[0-9a-f;?&=%\\x00-\\xff]{0,9}[;?&]?){0,5}") {
        let _unused = read(&text);
    }

    #[test]
    fn what_is_written_reads_back(
        label in field(32),
        serial in proptest::option::of(field(16)),
        manufacturer in proptest::option::of(field(32)),
        model in proptest::option::of(field(16)),
        module in proptest::option::of(field(40)),
        pin in proptest::option::of(field(40)),
    ) {
        let module = module.map(|name| PathBuf::from(format!("/{name}")));
        let pin = pin.map(|name| PinSource::File(format!("/{}", name.trim_start_matches('/')).into()));
        let uri = TokenUri { label, serial, manufacturer, model, module, pin };
        prop_assert_eq!(read(&uri.to_string()), Ok(uri));
    }
}
