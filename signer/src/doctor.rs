//! `doctor`: one table of what is well, doubtful or broken, each with what to do. The words, the table, the exit code.
//!
//! The world is read in `doctor/gather.rs` only; each check is a pure function of what was read.

use crate::error::Kind;
use std::fmt;

pub mod checks;
pub mod facts;
pub mod gather;
mod known;

/// Exit code when something is doubtful and nothing broken.
pub const WARNED: u8 = 9;

/// How well something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It is well.
    Ok,
    /// It works, and is not as it should be.
    Warn,
    /// It does not work, or must not be used like this; with the place that it counts to.
    Fail(Kind),
}

impl Mark {
    /// The word in the table.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warn => "WARN",
            Self::Fail(_) => "FAIL",
        }
    }
}

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The check's name; `docs/operate/troubleshoot.md` has a row for each.
    pub check: &'static str,
    /// How well it is.
    pub mark: Mark,
    /// What was found.
    pub text: String,
    /// What to do; empty if it is well.
    pub fix: String,
}

impl Finding {
    /// It is well.
    fn ok(check: &'static str, text: impl Into<String>) -> Self {
        Self { check, mark: Mark::Ok, text: text.into(), fix: String::new() }
    }

    /// It is doubtful.
    fn warn(check: &'static str, text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, mark: Mark::Warn, text: text.into(), fix: fix.into() }
    }

    /// It is broken.
    fn fail(check: &'static str, kind: Kind, text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, mark: Mark::Fail(kind), text: text.into(), fix: fix.into() }
    }
}

/// All findings, in the order of the checks.
#[derive(Clone, Debug, Default)]
pub struct Report(pub Vec<Finding>);

impl Report {
    /// The code of the first failure; 9 if there are only warnings; 0 otherwise.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let failed = self.0.iter().find_map(|finding| match finding.mark {
            Mark::Fail(kind) => Some(kind.code()),
            Mark::Ok | Mark::Warn => None,
        });
        let warned = self.0.iter().any(|finding| finding.mark == Mark::Warn);
        failed.unwrap_or(if warned { WARNED } else { 0 })
    }

    /// One JSON object on one line.
    #[must_use]
    pub fn to_json(&self) -> String {
        let row = |finding: &Finding| {
            let Finding { check, mark, text, fix } = finding;
            let (text, fix) = (quoted(text), quoted(fix));
            format!("{{\"check\":\"{check}\",\"mark\":\"{}\",\"text\":{text},\"fix\":{fix}}}", mark.word())
        };
        let rows: Vec<_> = self.0.iter().map(row).collect();
        format!("{{\"exit\":{},\"checks\":[{}]}}\n", self.exit_code(), rows.join(","))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Finding { check, mark, text, fix } in &self.0 {
            writeln!(f, "{:<5} {check:<14} {text}", mark.word())?;
            if !fix.is_empty() {
                writeln!(f, "{:<20} try: {fix}", "")?;
            }
        }
        Ok(())
    }
}

/// A JSON string.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            control if control.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(marks: &[Mark]) -> Report {
        let finding = |mark: &Mark| Finding {
            check: "clock",
            mark: *mark,
            text: "a \"b\"\n".to_owned(),
            fix: "c\\".to_owned(),
        };
        Report(marks.iter().map(finding).collect())
    }

    #[test]
    fn the_first_failure_gives_the_code_and_warnings_give_nine() {
        let (pin, away) = (Mark::Fail(Kind::Pin), Mark::Fail(Kind::Away));
        for (marks, code) in [
            (&[Mark::Ok, Mark::Ok][..], 0),
            (&[], 0),
            (&[Mark::Ok, Mark::Warn], 9),
            (&[Mark::Warn, pin, away], 6),
            (&[away, pin, Mark::Warn], 5),
        ] {
            assert_eq!(report(marks).exit_code(), code);
        }
    }

    #[test]
    fn json_quotes_what_must_be_quoted() {
        let json = report(&[Mark::Warn]).to_json();
        let expected =
            r#"{"exit":9,"checks":[{"check":"clock","mark":"WARN","text":"a \"b\"\u000a","fix":"c\\"}]}"#;
        assert_eq!(json.trim_end(), expected);
    }

    #[test]
    fn the_table_has_a_line_for_each_and_one_for_each_fix() {
        let table = report(&[Mark::Ok, Mark::Fail(Kind::Clock)]).to_string();
        assert!(table.starts_with("OK    clock"), "{table}");
        assert_eq!(table.matches("try: c\\").count(), 2);
    }
}
