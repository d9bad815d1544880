//! Replies as they are cut: values, data, words, and text that means harm.

use super::*;

/// A reply of these lines.
fn reply(code: u16, lines: &[&str]) -> Reply {
    Reply { code, lines: lines.iter().map(|line| (*line).to_owned()).collect() }
}

fn vectors() -> serde_json::Value {
    serde_json::from_str(include_str!("../../../../tests/vectors/control.json")).unwrap()
}

#[test]
fn dot_stuffing_vectors_go_both_ways() {
    let vectors = vectors();
    let rows = vectors["dot_stuffing"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    for row in rows {
        let (data, wire) = (row["data"].as_str().unwrap(), row["wire"].as_str().unwrap());
        // The dot line is taken off with the line end before it.
        let line = format!("KEY\r\n{}", wire.strip_suffix(".\r\n").unwrap());
        let parsed = reply(250, &[line.strip_suffix("\r\n").unwrap()]);
        assert_eq!(parsed.into_data(), data.as_bytes());
        if !data.is_empty() {
            assert_eq!(stuffed(data), wire.as_bytes());
        }
    }
    assert_eq!(stuffed("no end"), b"no end\r\n.\r\n");
}

#[test]
fn observed_reply_lines_are_read() {
    let vectors = vectors();
    let rows = vectors["observed"]["lines"].as_array().unwrap();
    assert!(rows.len() >= 20);
    for row in rows {
        let Some(lines) = row["reply"].as_array().filter(|lines| !lines.is_empty()) else { continue };
        let lines: Vec<&str> = lines.iter().map(|line| line.as_str().unwrap()).collect();
        let code = lines[0].get(..3).unwrap().parse().unwrap();
        let parsed = reply(code, &lines.iter().map(|line| line.get(4..).unwrap()).collect::<Vec<_>>());
        let refused = parsed.clone().accepted("TEST").is_err();
        assert_eq!(refused, code != 250, "{row}");
        if let Some(key) = row["cmd"].as_str().unwrap().strip_prefix("GETINFO sr/current") {
            assert!(key.contains("before"));
            assert_eq!(parsed.value("sr/current").as_deref(), Some(""));
        }
    }
}

#[test]
fn values_are_found_in_every_form() {
    let parsed = reply(250, &["version=0.4.9.11", "a=\"q \\\"x\\\" \\101\\n\"", "text=\r\n..dot\r\nb", "OK"]);
    assert_eq!(parsed.value("version").as_deref(), Some("0.4.9.11"));
    assert_eq!(parsed.value("a").as_deref(), Some("q \"x\" A\n"));
    assert_eq!(parsed.value("text").as_deref(), Some(".dot\nb\n"));
    assert_eq!(parsed.value("vers"), None);
    assert_eq!(reply(250, &["a=\"open"]).value("a"), None);
}

#[test]
fn quoted_strings_are_undone_or_refused() {
    assert_eq!(unquoted("plain").as_deref(), Some("plain"));
    assert_eq!(unquoted(r#""/a b/\"c\"\\""#).as_deref(), Some("/a b/\"c\"\\"));
    for bad in [r#"""#, r#""a"b"#, r#""\"#, r#""\4"#, r#""\777""#, r#""\377""#] {
        assert_eq!(unquoted(bad), None, "{bad}");
    }
}

#[test]
fn words_keep_quoted_strings_together() {
    let line = r#"NOTICE BOOTSTRAP PROGRESS=5  SUMMARY="Connecting to \" a relay" X"#;
    assert_eq!(words(line).count(), 5);
    assert_eq!(argument(line, "SUMMARY").as_deref(), Some("Connecting to \" a relay"));
    assert_eq!(argument(line, "SUMM"), None);
}

#[test]
fn shown_text_is_short_and_printable() {
    assert_eq!(shown("a\x1b[31m\nb"), "a?[31m?b");
    assert_eq!(shown(&"x".repeat(1000)).len(), SHOWN);
}

proptest::proptest! {
    #[test]
    fn no_text_panics(line in "\\PC{0,60}|[\\\\\" =0-9a\r\n.]{0,40}") {
        let parsed = reply(250, &[&line]);
        let _all = (parsed.value("a").is_some(), parsed.into_data(), unquoted(&line).is_some(), words(&line).count());
        let _stuffed = (stuffed(&line), argument(&line, "0").is_some(), shown(&line));
    }

    #[test]
    fn text_survives_stuffing(lines in proptest::collection::vec("[.a ]{0,5}", 1..12)) {
        let text: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
        let wire = String::from_utf8(stuffed(&text)).unwrap();
        let parsed = reply(650, &[&format!("X\r\n{}", wire.strip_suffix("\r\n.\r\n").unwrap())]);
        if !text.trim().is_empty() {
            proptest::prop_assert_eq!(parsed.into_data(), text.into_bytes());
        }
    }
}
