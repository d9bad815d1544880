//! The command `doctor`.

use super::answer;
use crate::doctor::{checks, gather};
use crate::error::Failure;
use std::path::Path;
use std::process::ExitCode;

/// `doctor`: the table is the answer, whatever it says.
pub(super) fn doctor(config: &Path, login: bool, json: bool) -> Result<ExitCode, Failure> {
    let report = checks::all(&gather::facts(config, login));
    answer(&if json { report.to_json() } else { report.to_string() })?;
    Ok(ExitCode::from(report.exit_code()))
}
