//! Reads what strace saw of a signer: no certificate leaves before its record is on the disk.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use data_encoding::{BASE64, HEXLOWER};
use onionkeep_common::wire::Reply;

use super::subject::Subject;
use crate::peer::{self, Peer};
use crate::process::{self, User};

/// How long one answer may take under a tracer.
const LIMIT: Duration = Duration::from_secs(30);
/// Length, version and kind of a frame with a certificate: docs/PROTOCOL.md.
const CERTIFICATE_FRAME: [u8; 4] = [0x00, 0x8e, 0x01, 0x11];
/// Octets of a certificate.
const CERT_LEN: usize = 140;

/// What a trace shows.
#[derive(Debug, Default)]
pub struct Order {
    /// Certificates that were sent.
    pub sent: usize,
    /// Of those, the ones that were not on the disk by then.
    pub too_early: usize,
    /// Times that a file of the state directory was flushed to the disk.
    pub flushed: usize,
}

/// Has a signer under strace make `certificates`, and reads the order of its calls.
pub fn run(subject: &mut Subject, certificates: usize) -> Result<Order> {
    let file = subject.run.path().join("trace");
    let mut strace = process::command("strace", User::Harness);
    strace.args(["-f", "-y", "-xx", "-s", "100000", "-qq", "-e", "signal=none"]);
    strace
        .args(["-e", "trace=write,writev,pwrite64,sendto,sendmsg,fsync,fdatasync,rename,renameat,renameat2"]);
    strace.arg("-o").arg(&file);
    subject.signer.start_under(strace)?;
    let mut peer = Peer::connect(&subject.signer.socket(), LIMIT)?;
    for slot in 0..certificates {
        let request = subject.request(slot);
        match peer.answered(&request)? {
            Reply::Certificate(cert) => peer::check(&request, &cert)?,
            other @ (Reply::Refused { .. } | Reply::Away { .. }) => bail!("slot {slot}: {other:?}"),
        }
    }
    subject.stop_traced()?;
    read(&std::fs::read_to_string(&file)?, &subject.signer.dir().join("state"))
}

/// Reads a trace of `strace -f -y -xx`: certificates are the frames sent to peers, records are what was written to files of
/// `state` and then flushed.
pub fn read(trace: &str, state: &Path) -> Result<Order> {
    let state = state.to_str().context("odd path")?;
    let mut order = Order::default();
    let mut written: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut durable: Vec<u8> = Vec::new();
    for call in joined(trace)?.iter().filter_map(|line| Call::parse(line)) {
        let in_state = call.file.starts_with(state);
        match call.name {
            "write" | "writev" | "pwrite64" if in_state => {
                written.entry(call.file.clone()).or_default().extend(call.octets());
            }
            "fsync" | "fdatasync" if in_state && call.worked => {
                order.flushed += 1;
                durable.extend(written.remove(&call.file).unwrap_or_default());
            }
            "write" | "sendto" | "sendmsg" => {
                let octets = call.octets();
                // The pair between the signer's own processes has another framing.
                let Some(cert) = octets.strip_prefix(&CERTIFICATE_FRAME) else { continue };
                ensure!(cert.len() == CERT_LEN, "a certificate of {} octets was sent", cert.len());
                order.sent += 1;
                order.too_early += usize::from(!contains_cert(&durable, cert));
            }
            _ => {}
        }
    }
    Ok(order)
}

/// Whether a record holds a certificate in one of the forms in which text can.
fn contains_cert(record: &[u8], cert: &[u8]) -> bool {
    let forms = [BASE64.encode(cert), HEXLOWER.encode(cert), BASE64.encode(cert).replace('=', "")];
    forms.iter().any(|form| record.windows(form.len()).any(|window| window == form.as_bytes()))
}

/// The lines of a trace; a call that another process interrupted is put together, and counts from its end.
fn joined(trace: &str) -> Result<Vec<String>> {
    let mut unfinished: BTreeMap<&str, &str> = BTreeMap::new();
    let mut lines = Vec::new();
    for line in trace.lines() {
        let (pid, rest) = line.split_once(' ').context("a line without a process id")?;
        let rest = rest.trim_start();
        if let Some(start) = rest.strip_suffix(" <unfinished ...>") {
            unfinished.insert(pid, start);
        } else if let Some((_head, end)) =
            rest.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>"))
        {
            let start = unfinished.remove(pid).context("the end of a call that did not start")?;
            lines.push(format!("{start}{end}"));
        } else {
            lines.push(rest.to_owned());
        }
    }
    Ok(lines)
}

/// One call.
struct Call<'a> {
    /// Its name.
    name: &'a str,
    /// The file behind its first argument, or nothing.
    file: String,
    /// Its arguments and result as text.
    text: &'a str,
    /// Whether it returned no error.
    worked: bool,
}

impl<'a> Call<'a> {
    /// Reads `name(3</path>, "\x00...", ...) = 4`.
    fn parse(line: &'a str) -> Option<Self> {
        let (name, text) = line.split_once('(')?;
        let (_arguments, result) = text.rsplit_once(") = ").or_else(|| text.rsplit_once("= "))?;
        let first = text.split(&[',', ')'][..]).next()?;
        let file = first.split_once('<').map_or("", |(_number, rest)| rest.trim_end_matches('>'));
        // With -xx the names of files are hex too.
        let file =
            if file.contains("\\x") { String::from_utf8(unquoted(file)).ok()? } else { file.to_owned() };
        Some(Self { name, file, text, worked: !result.trim_start().starts_with('-') })
    }

    /// Every octet of every string among the arguments. File names that strace adds are not quoted.
    fn octets(&self) -> Vec<u8> {
        self.text.split('"').skip(1).step_by(2).flat_map(unquoted).collect()
    }
}

/// The octets of a string that strace wrote as `\x00\x01`.
fn unquoted(string: &str) -> Vec<u8> {
    string.split("\\x").skip(1).filter_map(|hex| u8::from_str_radix(hex.get(..2)?, 16).ok()).collect()
}

/// Whether strace is here.
#[must_use]
pub fn have_strace() -> bool {
    Command::new("strace").arg("-V").output().is_ok_and(|output| output.status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quoted(octets: &[u8]) -> String {
        octets.iter().map(|octet| format!("\\x{octet:02x}")).collect()
    }

    fn lines(order: &[usize]) -> String {
        let cert = [7; CERT_LEN];
        let record = quoted(BASE64.encode(&cert).as_bytes());
        let frame = quoted(&[CERTIFICATE_FRAME.as_slice(), &cert].concat());
        let lines = [
            format!("10 write(5</s/ledger>, \"{record}\", 99) = 99\n"),
            "10 fdatasync(5</s/ledger>) = 0\n".to_owned(),
            format!("10 sendto(7<socket:[1]>, \"{frame}\", 144, MSG_NOSIGNAL, NULL, 0) = 144\n"),
            "10 fdatasync(5</s/ledger>) = -1 EIO (Input/output error)\n".to_owned(),
            "10 fdatasync(5</s/ledger> <unfinished ...>\n11 fsync(3</x>) = 0\n10 <... fdatasync resumed>) = 0\n".to_owned(),
        ];
        order.iter().map(|number| lines[*number].as_str()).collect()
    }

    #[test]
    fn the_right_order_is_recognised() {
        for right in [[0, 1, 2], [0, 4, 2]] {
            let order = read(&lines(&right), Path::new("/s")).unwrap();
            assert_eq!((order.sent, order.too_early, order.flushed), (1, 0, 1), "{right:?}");
        }
    }

    #[test]
    fn every_wrong_order_is_caught() {
        for wrong in [&[0, 2, 1][..], &[2, 0, 1], &[1, 0, 2], &[0, 3, 2], &[1, 2], &[0, 2]] {
            let order = read(&lines(wrong), Path::new("/s")).unwrap();
            assert_eq!((order.sent, order.too_early), (1, 1), "{wrong:?}");
        }
    }
}
