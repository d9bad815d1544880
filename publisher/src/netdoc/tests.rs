//! The line reader: positions, objects, and no panic on any octets.

#![expect(clippy::string_slice, reason = "tests of known texts")]

use super::*;

/// Lines that a splitter hands out for these chunks.
fn lines(chunks: &[&[u8]]) -> Result<Vec<(usize, Vec<u8>)>, LineTooLong> {
    let mut splitter = LineSplitter::default();
    let mut out = Vec::new();
    for chunk in chunks {
        splitter.push::<LineTooLong>(chunk, |number, line| {
            out.push((number, line.to_vec()));
            Ok(())
        })?;
    }
    if let Some(number) = splitter.unfinished() {
        out.push((number, b"(unfinished)".to_vec()));
    }
    Ok(out)
}

#[test]
fn items_have_keyword_arguments_object_and_position() {
    let text = "first 1  two\n\nsecond\n-----BEGIN THING-----\nAQID\nBA==\n-----END THING-----\nlast";
    let items: Vec<_> = Items::new(text).collect::<Result<_, _>>().unwrap();
    let shape: Vec<_> = items.iter().map(|item| (item.keyword, item.line, item.offset)).collect();
    assert_eq!(shape, [("first", 1, 0), ("second", 3, 14), ("last", 8, text.len() - 4)]);
    assert_eq!(items[0].args().collect::<Vec<_>>(), ["1", "two"]);
    assert_eq!(items[0].arg(2), None);
    let object = items[1].object.unwrap();
    assert_eq!((object.label, object.line), ("THING", 4));
    assert_eq!(object.decode().unwrap(), [1, 2, 3, 4]);
}

#[test]
fn malformed_lines_are_named() {
    for (text, line, what) in [
        ("a\n-----END X-----\n", 2, Malformed::StrayObject),
        ("a\n b\n", 2, Malformed::Keyword),
        ("a\nb?\n", 2, Malformed::Keyword),
        ("a\n-----BEGIN X\nAA==\n-----END X-----\n", 2, Malformed::Begin),
        ("a\n-----BEGIN X-----\nAA==\n-----END Y-----\n", 2, Malformed::NoEnd),
        ("a\n\n-----BEGIN X-----\n", 3, Malformed::StrayObject),
        ("a\n-----BEGIN X-----\nAA==\n", 2, Malformed::NoEnd),
    ] {
        let error = Items::new(text).find_map(Result::err);
        assert_eq!(error, Some(SyntaxError { line, what }), "{text:?}");
    }
}

#[test]
fn octets_that_are_not_text_are_named_by_line() {
    assert_eq!(text_of(b"a\nb\xff").unwrap_err(), SyntaxError { line: 2, what: Malformed::NotText });
    assert_eq!(text_of(b"a\nb\n\0").unwrap_err().line, 3);
    assert_eq!(text_of("a\n\u{e9}".as_bytes()), Ok("a\n\u{e9}"));
}

#[test]
fn base64_is_read_with_and_without_padding_but_not_with_half_of_it() {
    assert_eq!(base64("AQ=="), Some(vec![1]));
    assert_eq!(base64("AQ"), Some(vec![1]));
    for bad in ["AQ=", "AQ===", "A", "AR", "AQ==AQ==", "A*=="] {
        assert_eq!(base64(bad), None, "{bad}");
    }
    assert_eq!(base64_array::<2>("AQ"), None);
}

#[test]
fn a_line_without_end_is_cut_off_at_the_cap() {
    let long = vec![b'x'; MAX_STREAMED_LINE];
    assert_eq!(lines(&[b"a\n", &long]).unwrap().len(), 2);
    assert_eq!(lines(&[b"a\n", &long, b"x"]), Err(LineTooLong { line: 2 }));
    assert_eq!(lines(&[&long, b"x\n"]), Err(LineTooLong { line: 1 }));
    // The number does not depend on where the text is cut, nor on whether the line ends.
    let whole = [b"a\n", long.as_slice(), b"x\n"].concat();
    assert_eq!(lines(&[&whole]), Err(LineTooLong { line: 2 }));
    assert_eq!(lines(&[whole.trim_ascii_end()]), Err(LineTooLong { line: 2 }));
}

proptest::proptest! {
    #[test]
    fn chunks_do_not_change_the_lines(text in "[ab\n]{0,60}", cuts in proptest::collection::vec(0_usize..60, 0..6)) {
        let whole = lines(&[text.as_bytes()]).unwrap();
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        let chunks: Vec<_> = cuts.windows(2).map(|pair| &text.as_bytes()[pair[0]..pair[1]]).collect();
        proptest::prop_assert_eq!(lines(&chunks).unwrap(), whole);
    }

    #[test]
    fn no_text_panics(text in "(-----(BEGIN|END) [AB]?-----|[a-z =\n]{0,3}|\n){0,30}") {
        for item in Items::new(&text).flatten() {
            let _object = item.object.and_then(|object| object.decode());
            proptest::prop_assert!(text[item.offset..].starts_with(item.keyword));
        }
    }
}

#[test]
fn base64_of_a_fixed_length_is_read_as_that_of_any_length() {
    let texts = [
        "", "AA", "AA=", "AA==", "AAA", "AAA=", "AAA==", "AAAA", "AAAA=", "AAAAA", "AB", "A", "====", "A A",
        "AAAA====",
    ];
    for text in texts {
        assert_eq!(
            base64_array::<1>(text).map(Vec::from),
            base64(text).filter(|octets| octets.len() == 1),
            "{text}"
        );
        assert_eq!(
            base64_array::<2>(text).map(Vec::from),
            base64(text).filter(|octets| octets.len() == 2),
            "{text}"
        );
        assert_eq!(
            base64_array::<3>(text).map(Vec::from),
            base64(text).filter(|octets| octets.len() == 3),
            "{text}"
        );
    }
}
