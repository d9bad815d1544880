//! Whether tor is ready: its bootstrap and its directory information, learnt by events, never by polling.

use super::conn::Link;
use super::error::TorError;
use super::query;
use super::reply::{argument, shown, words};
use std::fmt;
use std::time::Duration;
use tokio::time::timeout;

/// How far tor is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bootstrap {
    /// Percent; 100 is ready.
    pub percent: u8,
    /// tor's short word for the step.
    pub tag: String,
    /// tor's sentence for the step.
    pub summary: String,
    /// tor's sentence for what hinders it, if something does.
    pub warning: Option<String>,
}

impl Bootstrap {
    /// Reads `SEVERITY BOOTSTRAP PROGRESS=n TAG=word SUMMARY="text" [WARNING="text"]`.
    ///
    /// Spec: control-spec, 4.1.10 (`BOOTSTRAP`).
    pub(super) fn parse(line: &str) -> Option<Self> {
        if words(line).nth(1)? != "BOOTSTRAP" {
            return None;
        }
        let text = |key| argument(line, key).map(|value| shown(&value));
        let percent = argument(line, "PROGRESS")?.parse().ok().filter(|percent| *percent <= 100)?;
        let (tag, summary) = (text("TAG").unwrap_or_default(), text("SUMMARY").unwrap_or_default());
        Some(Self { percent, tag, summary, warning: text("WARNING") })
    }
}

impl fmt::Display for Bootstrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bootstrapped {} %, {}", self.percent, self.summary)?;
        self.warning.as_ref().map_or(Ok(()), |warning| write!(f, " ({warning})"))
    }
}

/// Asks how far tor is.
pub(super) async fn bootstrap(link: &Link) -> Result<Bootstrap, TorError> {
    let key = "status/bootstrap-phase";
    let line = query::info(link, key).await?;
    let malformed = || TorError::Malformed { command: format!("GETINFO {key}"), what: shown(&line) };
    Bootstrap::parse(&line).ok_or_else(malformed)
}

/// Waits until tor is bootstrapped and has enough directory information.
pub(super) async fn wait_bootstrapped(link: &Link, deadline: Duration) -> Result<(), TorError> {
    match timeout(deadline, ready(link)).await {
        Ok(result) => result,
        Err(_elapsed) => {
            Err(TorError::NotReady { seconds: deadline.as_secs(), state: hindrance(link).await? })
        }
    }
}

/// Ends when tor is ready; the caller gives the deadline.
async fn ready(link: &Link) -> Result<(), TorError> {
    let mut changes = link.changes();
    // A tor that does not know the signal does not sleep either.
    if let Err(error) = query::accepted(link, "SIGNAL ACTIVE").await
        && error.code().is_none()
    {
        return Err(error);
    }
    loop {
        changes.mark_unchanged();
        if bootstrap(link).await?.percent == 100 && query::flag(link, "status/enough-dir-info").await? {
            return Ok(());
        }
        changes.changed().await.map_err(|_ended| link.lost())?;
    }
}

/// What keeps tor from being ready, in words.
async fn hindrance(link: &Link) -> Result<String, TorError> {
    if query::option_is_set(link, "DisableNetwork").await? {
        return Ok("its option DisableNetwork is 1".to_owned());
    }
    let state = bootstrap(link).await?;
    let enough = query::flag(link, "status/enough-dir-info").await?;
    Ok(if enough { state.to_string() } else { format!("{state}, not enough directory information") })
}
