//! The keys of a service that say how its backends are probed.

use crate::probe::HttpCheck;
use onionkeep_common::config::Section;

/// Usual time between two probes of one backend, in **seconds**.
const INTERVAL: u64 = 60;
/// Keys that mean nothing without `probe_port`.
const DEPENDENT: [&str; 3] = ["probe_interval_seconds", "probe_http", "probe_http_status"];

/// How backends are probed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probing {
    /// The port of the onion service.
    pub port: u16,
    /// Time between two probes of one backend, in **seconds**.
    pub interval: u64,
    /// What is asked of the web server behind the port, if anything.
    pub http: Option<HttpCheck>,
}

/// Reads them; `socks`: there is a SOCKS port to probe through.
pub(super) fn probing(section: &Section<'_, '_>, socks: bool) -> Option<Probing> {
    let port = section.number("probe_port", 1..=65_535);
    if port.is_some() && !socks {
        section.report("probe_port", "probe_port: probing goes through tor's SOCKS port; set socks in [tor]");
    }
    for key in DEPENDENT.into_iter().filter(|key| section.has(key)) {
        if !section.has("probe_port") {
            section.report(key, format!("{key}: without probe_port nothing is probed"));
        }
    }
    let interval = section.number("probe_interval_seconds", 1..=86_400).unwrap_or(INTERVAL);
    let http = http(section);
    let port = port.and_then(|port| u16::try_from(port).ok())?;
    Some(Probing { port, interval, http })
}

/// Reads `probe_http` and `probe_http_status`.
fn http(section: &Section<'_, '_>) -> Option<HttpCheck> {
    let status = section.number("probe_http_status", 100..=599);
    if status.is_some() && !section.has("probe_http") && section.has("probe_port") {
        let text =
            "probe_http_status: without probe_http nothing is asked; write the path, probe_http = \"/\"";
        section.report("probe_http_status", text);
    }
    let path = section.text("probe_http")?;
    let status = status.and_then(|status| u16::try_from(status).ok());
    let check = HttpCheck::new(path, status);
    if check.is_none() {
        let text = "probe_http: wanted is a path of at most 256 visible ASCII characters that starts with /";
        section.report("probe_http", text);
    }
    check
}
