//! The record of calls: one line each, appended in one write, so that several processes can share the file.
//!
//! `PID FUNCTION MECHANISM CODE`, where the mechanism may be `-` and the code is followed by the fault that bit, if one did.

use crate::home::Home;
use crate::names;
use cryptoki_sys::{CK_MECHANISM_TYPE, CK_RV};
use std::fs::File;
use std::io::Write;

/// One call, as far as it is known before it is answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    /// Its name.
    pub(crate) function: &'static str,
    /// Its mechanism.
    pub(crate) mechanism: Option<CK_MECHANISM_TYPE>,
}

impl Call {
    /// The mechanism's name.
    pub(crate) fn mechanism(&self) -> String {
        self.mechanism.map_or_else(|| "-".to_owned(), names::of_mechanism)
    }

    /// Notes the answer.
    pub(crate) fn answered(&self, home: &Home, code: CK_RV, fault: &str) {
        self.note(home, &format!("{}{fault}", names::of_code(code)));
    }

    /// Notes that the call hangs now.
    pub(crate) fn hangs(&self, home: &Home) {
        self.note(home, "HANGS");
    }

    /// Notes that what the call gives was altered.
    pub(crate) fn corrupted(&self, home: &Home) {
        self.note(home, "CORRUPTS");
    }

    /// Appends a line. A record that cannot be written makes the test that reads it fail, not the token.
    fn note(&self, home: &Home, end: &str) {
        let line = format!("{} {} {} {end}\n", std::process::id(), self.function, self.mechanism());
        let file = File::options().create(true).append(true).open(home.join("calls"));
        drop(file.and_then(|mut file| file.write_all(line.as_bytes())));
    }
}
