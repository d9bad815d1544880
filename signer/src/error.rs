//! How a failure ends the program: exit code, sentence, and the line that says what to try. The only place with exit codes.

use std::fmt;
use std::process::ExitCode;

/// Where a failure lies, and so which exit code the program ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A bug, or a system call that should not fail.
    Internal,
    /// The command line or the configuration.
    Usage,
    /// A rule refuses what was asked.
    Refused,
    /// Something that was checked is not what it should be.
    Verification,
    /// The token is away; trying again may help.
    Away,
    /// PIN or credential; a script must never try again.
    Pin,
    /// The clock.
    Clock,
    /// The ledger is missing or broken.
    Ledger,
    /// The operator pressed Ctrl-C.
    Interrupted,
}

impl Kind {
    /// The exit code.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Internal => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::Verification => 4,
            Self::Away => 5,
            Self::Pin => 6,
            Self::Clock => 7,
            Self::Ledger => 8,
            Self::Interrupted => 130,
        }
    }
}

/// An error that knows its place and what the operator can do about it.
pub trait Explain: std::error::Error {
    /// Where it lies.
    fn kind(&self) -> Kind;

    /// What to try; empty if there is nothing to say.
    fn hint(&self) -> String;

    /// The sentence with its causes, each told once.
    fn in_full(&self) -> String {
        let mut text = self.to_string();
        let mut source = self.source();
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if !text.ends_with(&cause_text) {
                text.push_str(": ");
                text.push_str(&cause_text);
            }
            source = cause.source();
        }
        text
    }
}

/// A failure on its way to the operator.
#[derive(Debug)]
pub struct Failure {
    /// Where it lies.
    kind: Kind,
    /// The sentence, without the `error: ` in front.
    text: String,
    /// What to try, or empty.
    hint: String,
}

impl Failure {
    /// A failure with its own sentence.
    #[must_use]
    pub fn new(kind: Kind, text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { kind, text: text.into(), hint: hint.into() }
    }

    /// Where it lies.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The same with what was not done for it.
    #[must_use]
    pub fn because(mut self, not_done: &str) -> Self {
        self.text = format!("{}: {not_done}", self.text);
        self
    }

    /// The same after something was done that stays done: says what, and what is to be done now.
    #[must_use]
    pub fn after(self, done: &str, now: &str) -> Self {
        Self { kind: self.kind, text: format!("{done}, but {}", self.text), hint: now.to_owned() }
    }

    /// The exit code.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.kind.code())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.text)?;
        if self.hint.is_empty() { Ok(()) } else { write!(f, "\ntry: {}", self.hint) }
    }
}

impl<E: Explain> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { kind: error.kind(), text: error.in_full(), hint: error.hint() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_the_documented_ones() {
        let kinds = [
            Kind::Internal,
            Kind::Usage,
            Kind::Refused,
            Kind::Verification,
            Kind::Away,
            Kind::Pin,
            Kind::Clock,
            Kind::Ledger,
            Kind::Interrupted,
        ];
        assert_eq!(kinds.map(Kind::code), [1, 2, 3, 4, 5, 6, 7, 8, 130]);
    }

    #[test]
    fn a_failure_says_what_to_try() {
        let failure = Failure::new(Kind::Pin, "the PIN is wrong", "look at the PIN file");
        assert_eq!(failure.to_string(), "error: the PIN is wrong\ntry: look at the PIN file");
        assert_eq!(Failure::new(Kind::Usage, "no", "").to_string(), "error: no");
        let after = Failure::new(Kind::Usage, "the disk is full", "free space").after("it is done", "go on");
        assert_eq!(after.to_string(), "error: it is done, but the disk is full\ntry: go on");
    }

    #[test]
    fn causes_are_told_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot read the key")]
        struct Outer(#[source] std::io::Error);
        impl Explain for Outer {
            fn kind(&self) -> Kind {
                Kind::Usage
            }
            fn hint(&self) -> String {
                String::new()
            }
        }
        let outer = Outer(std::io::Error::other("disk on fire"));
        assert_eq!(Failure::from(outer).to_string(), "error: cannot read the key: disk on fire");
    }
}
