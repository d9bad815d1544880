//! Short questions and commands: GETINFO, GETCONF and whatever answers 250.

use super::conn::Link;
use super::error::TorError;
use super::reply::shown;
use crate::netdoc::date;
use onionkeep_common::UnixTime;

/// tor knows the key but has no value now.
const UNAVAILABLE: u16 = 551;
/// tor does not know the key, or has no value for it and does not say so better.
const UNRECOGNIZED: u16 = 552;

/// Sends a command that has only success or failure.
pub(super) async fn accepted(link: &Link, command: &str) -> Result<(), TorError> {
    link.ask(command).await?.accepted(command).map(|_reply| ())
}

/// The value of a GETINFO key.
pub(super) async fn info(link: &Link, key: &str) -> Result<String, TorError> {
    let command = format!("GETINFO {key}");
    let reply = link.ask(&command).await?.accepted(&command)?;
    let missing = || TorError::Malformed { what: format!("no value of {key}"), command };
    reply.value(key).map(|value| value.into_owned()).ok_or_else(missing)
}

/// The value of a GETINFO key that tor may have no value for.
pub(super) async fn info_if_any(link: &Link, key: &str) -> Result<Option<String>, TorError> {
    match info(link, key).await {
        Ok(value) if value.is_empty() => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.code(), Some(UNAVAILABLE | UNRECOGNIZED)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A GETINFO key that is 0 or 1.
pub(super) async fn flag(link: &Link, key: &str) -> Result<bool, TorError> {
    match info(link, key).await?.as_str() {
        "0" => Ok(false),
        "1" => Ok(true),
        other => Err(TorError::Malformed {
            command: format!("GETINFO {key}"),
            what: format!("{} is neither 0 nor 1", shown(other)),
        }),
    }
}

/// A GETINFO key that is a time, `None` if tor has none.
pub(super) async fn time(link: &Link, key: &str) -> Result<Option<UnixTime>, TorError> {
    let Some(text) = info_if_any(link, key).await? else { return Ok(None) };
    let malformed = || TorError::Malformed {
        command: format!("GETINFO {key}"),
        what: format!("{} is not a time", shown(&text)),
    };
    date::parse(&text, ' ').map(Some).ok_or_else(malformed)
}

/// Whether an option of torrc that is 0 or 1 is 1.
pub(super) async fn option_is_set(link: &Link, option: &str) -> Result<bool, TorError> {
    let command = format!("GETCONF {option}");
    let reply = link.ask(&command).await?.accepted(&command)?;
    match reply.value(option).as_deref() {
        Some("0") => Ok(false),
        Some("1") => Ok(true),
        Some(_) | None => {
            Err(TorError::Malformed { what: format!("no value 0 or 1: {}", shown(reply.first())), command })
        }
    }
}
