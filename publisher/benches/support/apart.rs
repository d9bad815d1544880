//! A made-up world in a process of its own: what a tor's control port answers, with a network and backends, and a signer.
//!
//! Each backend renews its descriptor every 90 minutes; each HSDir has a copy of its own, as with C tor. The time comes with
//! each question.

use super::control_port::{Answer, Command, usual};
use super::network;
use super::onions::{self, BEGIN, MADE, Onion, RELAYS, fetched, made, make, points, server};
use onionkeep_common::wire::frame::Header;
use onionkeep_common::wire::{CertifyRequest, HEADER_LEN, Reply};
use onionkeep_common::{PeriodLength, TimePeriod, UnixTime};
use std::collections::{HashMap, HashSet};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

/// What a question is about.
pub(crate) mod kind {
    /// A command to tor: its line, and what follows it.
    pub(crate) const COMMAND: u8 = b'c';
    /// What became of a command of which tor has only said that it is on its way.
    pub(crate) const EVENT: u8 = b'e';
    /// The rest of the last long answer from this octet on.
    pub(crate) const MORE: u8 = b'm';
    /// A frame to the signer.
    pub(crate) const SIGN: u8 = b's';
    /// What was asked so far, in words.
    pub(crate) const COUNTS: u8 = b'q';
}

/// Something comes later: ask [`kind::EVENT`].
pub(crate) const LATER: u8 = 1;
/// The answer is not whole: ask [`kind::MORE`].
pub(crate) const CUT: u8 = 2;
/// Octets of an answer that are given at once.
const PIECE: usize = 64 * 1024;

/// Asks the other process; waits for its answer without a processor.
pub(crate) fn ask(mut stream: &UnixStream, kind: u8, now: UnixTime, text: &[u8]) -> (u8, Vec<u8>) {
    let length = u32::try_from(text.len()).unwrap().to_be_bytes();
    let head = [&[kind][..], &now.0.to_be_bytes(), &length].concat();
    stream.write_all(&[&head, text].concat()).unwrap();
    let mut head = [0; 5];
    stream.read_exact(&mut head).unwrap();
    let [flags, length @ ..] = head;
    let mut answer = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
    stream.read_exact(&mut answer).unwrap();
    (flags, answer)
}

/// The copies of a backend's descriptor: when it was made for which period, and the text for each HSDir that was asked.
type Copies = (UnixTime, TimePeriod, HashMap<String, String>);

/// Everything that answers.
pub(crate) struct World {
    backends: HashMap<String, (u64, Onion)>,
    services: Vec<Onion>,
    network: network::Network,
    /// The time of the question.
    now: UnixTime,
    /// The valid-after that the publisher has read last.
    read: u64,
    /// The backends' descriptors.
    copies: HashMap<u64, Copies>,
    /// What was uploaded, in tor's wire form, by address and HSDir.
    uploads: HashMap<(String, String), String>,
    /// The last long answer.
    long: Vec<u8>,
    /// The backends of which a descriptor was given, and the second in which nine of ten were.
    known: (HashSet<u64>, Option<u64>),
    /// Fetches that were answered, that found nothing, that were never answered; uploads; certificates; consensuses.
    counts: [u64; 6],
}

impl World {
    /// So many frontends and backends.
    pub(crate) fn new(services: usize, backends: usize) -> Self {
        Self {
            backends: onions::backends(backends),
            services: onions::services(services),
            network: network::make(RELAYS),
            now: UnixTime(BEGIN),
            read: MADE,
            copies: HashMap::new(),
            uploads: HashMap::new(),
            long: Vec::new(),
            known: (HashSet::new(), None),
            counts: [0; 6],
        }
    }

    /// Answers until the other process ends.
    pub(crate) fn serve(mut self, mut stream: &UnixStream) {
        let mut head = [0; 13];
        while stream.read_exact(&mut head).is_ok() {
            self.now = UnixTime(u64::from_be_bytes(head[1..9].try_into().unwrap()));
            let length = u32::from_be_bytes(head[9..].try_into().unwrap());
            let mut text = vec![0; usize::try_from(length).unwrap()];
            stream.read_exact(&mut text).unwrap();
            let (flags, answer) = self.answer(head[0], text);
            let length = u32::try_from(answer.len()).unwrap().to_be_bytes();
            stream.write_all(&[&[flags][..], &length, &answer].concat()).unwrap();
        }
    }

    /// One answer.
    fn answer(&mut self, kind: u8, text: Vec<u8>) -> (u8, Vec<u8>) {
        match kind {
            kind::SIGN => (0, self.sign(&text)),
            kind::MORE => self.more(usize::try_from(u64::from_be_bytes(text.try_into().unwrap())).unwrap()),
            kind::COUNTS => {
                let [good, none, lost, uploads, certificates, consensuses] = self.counts;
                let after = self.known.1.map_or_else(String::new, |second| format!(" after {second} s"));
                let words = format!(
                    "nine of ten known{after}, {good} descriptors, {none} not found, {lost} unanswered, {uploads} uploads, \
                     {certificates} certificates, {consensuses} consensuses"
                );
                (0, words.into_bytes())
            }
            kind => {
                let text = String::from_utf8(text).unwrap();
                let (line, data) = text.split_once('\n').unwrap_or((&text, ""));
                if kind == kind::EVENT { (0, self.event(line)) } else { self.command(line, data) }
            }
        }
    }

    /// A piece of the last long answer.
    fn more(&self, from: usize) -> (u8, Vec<u8>) {
        let end = self.long.len().min(from + PIECE);
        (if end < self.long.len() { CUT } else { 0 }, self.long[from..end].to_vec())
    }

    /// What tor's control port answers at once.
    fn command(&mut self, line: &str, data: &str) -> (u8, Vec<u8>) {
        let hour = self.now.0 / 3600 * 3600;
        let value = |key: &str, at| (0, format!("250-{key}={}\r\n250 OK\r\n", iso(at)).into_bytes());
        let mut words = line.split(' ');
        match (words.next().unwrap_or_default(), words.next().unwrap_or_default()) {
            ("HSFETCH", onion) => {
                let lost = self.state(onion) == State::Silent;
                self.counts[2] += u64::from(lost);
                (if lost { 0 } else { LATER }, b"250 OK\r\n".to_vec())
            }
            ("+HSPOST", _server) => {
                self.counts[3] += 1;
                self.uploads.insert((posted(line).to_owned(), server(line).to_owned()), data.to_owned());
                (LATER, b"250 OK\r\n".to_vec())
            }
            ("GETINFO", key @ "consensus/valid-after") => value(key, hour),
            ("GETINFO", key @ "consensus/valid-until") => value(key, hour + 3 * 3600),
            ("GETINFO", key @ "dir/status-vote/current/consensus-microdesc") => {
                (self.read, self.counts[5]) = (hour, self.counts[5] + 1);
                self.long = octets_of(Answer::block(key, &self.network.at(hour, iso)));
                self.more(0)
            }
            ("GETINFO", key @ "md/all") => {
                self.long = octets_of(Answer::block(key, &self.network.microdescs));
                self.more(0)
            }
            _other => {
                let command = Command { line: line.to_owned(), data: String::new() };
                (0, octets_of(usual(&command).unwrap_or_else(Answer::ok)))
            }
        }
    }

    /// What became of a fetch or an upload.
    fn event(&mut self, line: &str) -> Vec<u8> {
        let hsdir = server(line);
        let Some(rest) = line.strip_prefix("HSFETCH ") else {
            return format!("650 HS_DESC UPLOADED {} UNKNOWN ${hsdir}~relay\r\n", posted(line)).into_bytes();
        };
        let onion = rest.split(' ').next().unwrap_or_default();
        let found = match self.state(onion) {
            State::Good => Some(self.copy(onion, hsdir)),
            State::Ours => self.uploads.get(&(onion.to_owned(), hsdir.to_owned())).cloned(),
            State::Gone | State::Silent => None,
        };
        self.counts[usize::from(found.is_none())] += 1;
        let Some(wire) = found else {
            let failed = format!("650 HS_DESC FAILED {onion} NO_AUTH ${hsdir}~relay x REASON=NOT_FOUND\r\n");
            let content = format!("650+HS_DESC_CONTENT {onion} x ${hsdir}~relay\r\n\r\n.\r\n650 OK\r\n");
            return (failed + &content).into_bytes();
        };
        let received = format!("650 HS_DESC RECEIVED {onion} NO_AUTH ${hsdir}~relay x\r\n");
        let content = format!("650+HS_DESC_CONTENT {onion} x ${hsdir}~relay\r\n{wire}650 OK\r\n");
        (received + &content).into_bytes()
    }

    /// How an address is now: one backend in fifty has two hours in twelve in which nobody has its descriptor, another one has
    /// an hour in which no HSDir answers about it.
    fn state(&self, onion: &str) -> State {
        let Some((number, _own)) = self.backends.get(onion) else { return State::Ours };
        let hour = (self.now.0 / 3600 + number) % 12;
        match number % 50 {
            7 if hour < 2 => State::Gone,
            13 if hour < 1 => State::Silent,
            _other => State::Good,
        }
    }

    /// The copy of a backend's descriptor that an HSDir has, in tor's wire form.
    fn copy(&mut self, onion: &str, hsdir: &str) -> String {
        let (role, now) = (fetched(self.read), self.now.0);
        let (number, own) = &self.backends[onion];
        let (known, second) = &mut self.known;
        if known.insert(*number) && known.len() * 10 >= self.backends.len() * 9 {
            second.get_or_insert(now - BEGIN);
        }
        let made = made(*number, now);
        let copies = self.copies.entry(*number).or_insert_with(|| (made, role.period, HashMap::new()));
        if (copies.0, copies.1) != (made, role.period) {
            *copies = (made, role.period, HashMap::new());
        }
        let copy = copies.2.entry(hsdir.to_owned());
        copy.or_insert_with(|| {
            make(*number, own, &role, made, &points(*number, made), hsdir).replace('\n', "\r\n") + ".\r\n"
        })
        .clone()
    }

    /// The signer's answer to a frame.
    fn sign(&mut self, frame: &[u8]) -> Vec<u8> {
        let (head, content) = frame.split_first_chunk::<HEADER_LEN>().unwrap();
        let request = CertifyRequest::parse(Header::parse(*head).unwrap().kind, content).unwrap();
        let own = self.services.iter().find(|own| own.identity() == &request.onion).unwrap();
        let period = TimePeriod { number: request.period, length: PeriodLength::DAY };
        self.counts[4] += 1;
        Reply::Certificate(own.certify(period, &request.key, self.now)).to_frame().as_bytes().to_vec()
    }
}

/// How an address is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// A backend with a descriptor.
    Good,
    /// A backend without.
    Gone,
    /// A backend about which no HSDir answers.
    Silent,
    /// A frontend.
    Ours,
}

/// The octets of an answer.
fn octets_of(answer: Answer) -> Vec<u8> {
    if let Answer::Raw(octets) = answer { octets } else { Vec::new() }
}

/// A time of the four days from the 22nd of November 2026 on.
fn iso(at: u64) -> String {
    let (day, second) = (22 + (at / 86_400 - MADE / 86_400), at % 86_400);
    format!("2026-11-{day:02} {:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)
}

/// The address of an upload.
fn posted(line: &str) -> &str {
    line.rsplit('=').next().unwrap_or_default()
}
