//! The status document as a table for people.

use super::{BackendStatus, DescriptorStatus, Document, ServiceStatus};
use crate::netdoc::date::Iso;
use onionkeep_common::{OnionAddress, UnixTime};
use std::fmt::{self, Display};

/// Writes a document as a table.
pub struct Table<'a>(pub &'a Document);

impl Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let document = self.0;
        let tor = &document.tor;
        let version = tor.version.as_deref().unwrap_or("of unknown version");
        writeln!(f, "tor {version}: {}", tor.state)?;
        if let Some(problem) = &tor.problem {
            writeln!(f, "  problem: {problem}")?;
        }
        if let Some(valid_after) = tor.consensus_valid_after {
            let (known, unknown) = (tor.hsdirs, tor.hsdirs_without_microdescriptor);
            writeln!(
                f,
                "  consensus of {}, {known} HSDirs ({unknown} more without microdescriptor)",
                Iso(UnixTime(valid_after))
            )?;
        }
        for service in &document.services {
            write_service(f, service, document.now)?;
        }
        match document.warnings.as_slice() {
            [] => writeln!(f, "\nno warnings"),
            warnings => {
                writeln!(f, "\nwarnings:")?;
                warnings.iter().try_for_each(|warning| writeln!(f, "  {warning}"))
            }
        }
    }
}

/// Writes one frontend.
fn write_service(f: &mut fmt::Formatter<'_>, service: &ServiceStatus, now: u64) -> fmt::Result {
    writeln!(f, "\nservice {}, {}", short(&service.address), service.mode)?;
    write!(f, "  signer: {}", service.signer.state)?;
    match &service.signer.problem {
        Some(problem) => writeln!(f, " ({problem})")?,
        None => writeln!(f)?,
    }
    if let Some(bundles) = &service.bundles {
        write!(f, "{bundles}")?;
    }
    if let Some(former) = former(service) {
        writeln!(f, "  {former}")?;
    }
    writeln!(
        f,
        "  {:<16} {:<8} {:>11} {:>11} {:>7} {:>7} {:>6} {:>7}",
        "backend", "state", "age", "fetched", "points", "listed", "weight", "share"
    )?;
    for backend in &service.backends {
        write_backend(f, backend, now)?;
    }
    if !service.removed.is_empty() {
        writeln!(f, "  removed at run time: {}", service.removed.join(", "))?;
    }
    service.descriptors.iter().try_for_each(|descriptor| write_descriptor(f, descriptor, now))
}

/// Writes one backend.
fn write_backend(f: &mut fmt::Formatter<'_>, backend: &BackendStatus, now: u64) -> fmt::Result {
    let (age, fetched) = (ago(now, backend.uploaded), ago(now, backend.fetched));
    let (name, state) = (&backend.name, &backend.state);
    let BackendStatus { points, listed, weight, .. } = backend;
    let share = format!("{}.{} %", backend.share / 10_000, backend.share / 1000 % 10);
    write!(
        f,
        "  {name:<16} {state:<8} {age:>11} {fetched:>11} {points:>7} {listed:>7} {weight:>6} {share:>7}"
    )?;
    for note in backend.changed.iter().chain(&backend.problem) {
        write!(f, "  {note}")?;
    }
    writeln!(f)
}

/// Writes one descriptor.
fn write_descriptor(f: &mut fmt::Formatter<'_>, descriptor: &DescriptorStatus, now: u64) -> fmt::Result {
    let fetched = if descriptor.fetched_now { ", asked for by clients now" } else { "" };
    writeln!(f, "  {} descriptor, period {}{fetched}", descriptor.role, descriptor.period)?;
    let revision = descriptor.revision.map_or_else(|| "none".to_owned(), |revision| revision.to_string());
    let (points, uploaded) = (descriptor.points, ago(now, descriptor.uploaded));
    let (cert, next) = (ahead(now, descriptor.certificate_expires), ahead(now, descriptor.next_upload));
    writeln!(
        f,
        "    revision {revision}, {points} points, uploaded {uploaded}, next {next}, certificate ends {cert}"
    )?;
    if let Some(other) = &descriptor.other {
        let secret = match other.same_secret {
            Some(true) => "the same counter secret",
            Some(false) => "ANOTHER counter secret",
            None => "perhaps the same counter secret",
        };
        writeln!(
            f,
            "    another publisher with {secret}, revision {}, seen {}",
            other.revision,
            ago(now, Some(other.seen))
        )?;
    }
    for hsdir in &descriptor.hsdirs {
        write!(f, "    {} {} {}", hsdir.fingerprint, ago(now, hsdir.at), hsdir.result)?;
        match hsdir.looked_at {
            Some(at) => writeln!(f, ", {} {}", hsdir.copy, ago(now, Some(at)))?,
            None => writeln!(f)?,
        }
    }
    Ok(())
}

/// Until when a tor service that had the address before has to answer. No warning: whether there is one, and what was done, is not seen here.
pub(super) fn former(service: &ServiceStatus) -> Option<String> {
    let until = Iso(UnixTime(service.former_until?));
    Some(format!(
        "taken over: a tor service that had the address before must publish no more, and may stop after {until}"
    ))
}

/// An address by its end.
pub(super) fn short(address: &str) -> String {
    address
        .parse::<OnionAddress>()
        .map_or_else(|_not_one| "?".to_owned(), |address| address.redacted().to_string())
}

/// How long ago a time was.
pub(super) fn ago(now: u64, then: Option<u64>) -> String {
    then.map_or_else(|| "never".to_owned(), |then| format!("{} ago", length(now.saturating_sub(then))))
}

/// How far ahead a time is.
pub(super) fn ahead(now: u64, then: Option<u64>) -> String {
    match then {
        None => "unknown".to_owned(),
        Some(then) if then <= now => "now".to_owned(),
        Some(then) => format!("in {}", length(then.saturating_sub(now))),
    }
}

/// A length of time in its largest unit.
pub(super) fn length(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}
