//! What plays tor, HSDirs, backends and signers for the services of a stage, each of which can fail.

use super::super::control_port::{Answer, Command};
use super::super::onions::{BEGIN, Onion, server};
use super::super::world::World;
use onionkeep_common::wire::{AwayReason, Reply, Rule};
use onionkeep_common::{OnionAddress, UnixTime};
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// Services.
pub(in super::super) const SERVICES: usize = 3;
/// What stands for tor's SOCKS port among what tor does instead of what it should: it hangs up.
pub(in super::super) const SOCKS: &str = "SOCKS";
/// How long a slow signer takes, in **seconds**.
pub(in super::super) const SLOW: u64 = 4;

/// What a service's signer does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) enum Signer {
    #[default]
    Good,
    /// It takes the question and never answers.
    Silent,
    /// It answers something else.
    Garbage,
    /// It answers late.
    Slow,
    /// It says that its token is away.
    Away,
    /// It refuses.
    Refuses,
}

/// What HSDirs do with a service's descriptors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) enum Uploads {
    #[default]
    Kept,
    /// They refuse them.
    Refused,
    /// Nobody hears of them again.
    Swallowed,
}

/// What HSDirs say about the backends of a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) enum Backends {
    #[default]
    Good,
    /// There is no descriptor of any.
    Missing,
    /// No answer.
    Mute,
    /// They give what they gave before, for ever; those that were not asked before have none.
    Old,
    /// They give a text that has nothing but a counter, so much above that of what they gave before; others have none.
    Claimed(u64),
    /// So many of those that were asked before give what the others gave last: they know what the publisher has, and give no more.
    Held(usize),
    /// So many of those that were asked before have none any more.
    Lost(usize),
    /// They do not take the connections of probes.
    Deaf,
    /// tor never answers whether they take them.
    Hung,
    /// There is no descriptor of any, and tor hangs up when it is asked for a connection.
    Cut,
}

/// How a service fails.
#[derive(Clone, Copy, Debug, Default)]
pub(in super::super) struct Wrong {
    pub(in super::super) signer: Signer,
    pub(in super::super) uploads: Uploads,
    pub(in super::super) backends: Backends,
}

/// What plays the rest of the world.
pub(super) struct Played {
    pub(super) world: World,
    /// The services' addresses.
    pub(super) services: Vec<OnionAddress>,
    /// The backends' addresses without `.onion`.
    pub(super) backends: Vec<String>,
    /// The service that each of them belongs to.
    pub(super) owners: Vec<usize>,
    pub(super) wrong: Mutex<[Wrong; SERVICES]>,
    /// What tor answers instead of what it should, by the command's beginning.
    pub(super) instead: Mutex<HashMap<String, String>>,
    /// What HSDirs gave of a backend, by address and HSDir.
    pub(super) given: Mutex<HashMap<(String, String), Answer>>,
    /// What an honest HSDir gave last of a backend, and which one.
    pub(super) told: Mutex<HashMap<String, (String, Answer)>>,
    /// How often another one gave that.
    pub(super) held_back: AtomicU64,
    /// What HSDirs were given: by address and HSDir.
    pub(super) kept: Mutex<HashMap<(String, String), String>>,
    /// When an HSDir was given something: second, address, HSDir.
    pub(super) uploads: Mutex<Vec<(u64, String, String)>>,
    /// By which names probes asked for circuits.
    pub(super) probes: Mutex<Vec<String>>,
    /// When tor was asked for a connection to which backend.
    pub(super) asked: Mutex<Vec<(u64, String)>>,
    /// Connections to tor's SOCKS port now, and the most there were.
    pub(super) connections: Mutex<(usize, usize)>,
    /// Words to tor and to signers.
    pub(super) words: AtomicU64,
}

/// The address of a service.
pub(in super::super) fn address(service: usize) -> OnionAddress {
    Onion::new(b's', service).address()
}

/// The seconds since the start.
pub(in super::super) fn passed() -> u64 {
    crate::clock::now().since(UnixTime(BEGIN))
}

/// An answer whose text is nothing but a counter, so much above that of what was given.
fn claim(given: &Answer, ahead: u64, onion: &str, hsdir: &str) -> Answer {
    let Answer::Raw(octets) = given else { panic!("an odd answer") };
    let text = String::from_utf8(octets.clone()).unwrap().replace("\r\n", "\n");
    let counter = crate::descriptor::claimed_revision(text.as_bytes()).unwrap() + ahead;
    Answer::text(&format!(
        "250 OK\n650 HS_DESC RECEIVED {onion} NO_AUTH ${hsdir}~relay x\n\
         650+HS_DESC_CONTENT {onion} x ${hsdir}~relay\nhs-descriptor 3\nrevision-counter {counter}\n.\n650 OK\n"
    ))
}

impl Played {
    /// How a service fails, by its address without `.onion`.
    pub(super) fn wrong(&self, onion: &str) -> Wrong {
        let service = self.services.iter().position(|address| address.bare().to_string() == onion);
        service.map_or_else(Wrong::default, |at| self.wrong.lock().unwrap()[at])
    }

    /// How a backend fails, by its address without `.onion`.
    fn backend(&self, onion: &str) -> Backends {
        let Some(backend) = self.backends.iter().position(|address| address == onion) else {
            return Backends::Good;
        };
        self.wrong.lock().unwrap()[self.owners[backend]].backends
    }

    /// What tor answers.
    pub(super) fn answer(&self, command: &Command) -> Answer {
        self.words.fetch_add(1, Ordering::Relaxed);
        let instead = self.instead.lock().unwrap();
        if let Some((_start, text)) = instead.iter().find(|(start, _)| command.line.starts_with(*start)) {
            return if text.is_empty() { Answer::Close(Vec::new()) } else { Answer::text(text) };
        }
        drop(instead);
        let mut words = command.line.split(' ');
        match (words.next().unwrap(), words.next().unwrap_or_default()) {
            ("HSFETCH", onion) => self.fetch(onion, command),
            ("+HSPOST", _server) => self.upload(command),
            _other => self.world.answer(command),
        }
    }

    fn fetch(&self, onion: &str, command: &Command) -> Answer {
        let hsdir = server(&command.line);
        let failed = |reason: &str| {
            Answer::text(&format!(
                "250 OK\n650 HS_DESC FAILED {onion} NO_AUTH ${hsdir}~relay x REASON={reason}\n\
                 650+HS_DESC_CONTENT {onion} x ${hsdir}~relay\n\n.\n650 OK\n"
            ))
        };
        let (key, mut given) = ((onion.to_owned(), hsdir.to_owned()), self.given.lock().unwrap());
        match self.backend(onion) {
            Backends::Missing | Backends::Cut => return failed("NOT_FOUND"),
            Backends::Mute => return failed("UNEXPECTED"),
            Backends::Old => return given.get(&key).cloned().unwrap_or_else(|| failed("NOT_FOUND")),
            Backends::Claimed(ahead) => {
                let claim = given.get(&key).map(|given| claim(given, ahead, onion, hsdir));
                return claim.unwrap_or_else(|| failed("NOT_FOUND"));
            }
            Backends::Held(count) if self.is_among(count, &key, &given) => {
                return self.told_again(onion, hsdir);
            }
            Backends::Lost(count) if self.is_among(count, &key, &given) => return failed("NOT_FOUND"),
            Backends::Held(_) | Backends::Lost(_) => return self.tell(onion, command),
            Backends::Good | Backends::Deaf | Backends::Hung => {}
        }
        let answer = self.tell(onion, command);
        given.insert(key, answer.clone());
        answer
    }

    /// What an honest HSDir has; the others hear of it.
    fn tell(&self, onion: &str, command: &Command) -> Answer {
        let answer = self.stored(onion, command);
        let hsdir = server(&command.line).to_owned();
        self.told.lock().unwrap().insert(onion.to_owned(), (hsdir, answer.clone()));
        answer
    }

    /// What an honest HSDir told last, told by another one.
    fn told_again(&self, onion: &str, hsdir: &str) -> Answer {
        self.held_back.fetch_add(1, Ordering::Relaxed);
        let told = self.told.lock().unwrap();
        let (other, Answer::Raw(octets)) = &told[onion] else { panic!("an odd answer") };
        Answer::Raw(String::from_utf8(octets.clone()).unwrap().replace(other, hsdir).into_bytes())
    }

    /// Whether an HSDir is among so many of those that gave something of a backend.
    fn is_among(
        &self,
        count: usize,
        key: &(String, String),
        given: &HashMap<(String, String), Answer>,
    ) -> bool {
        let mut same: Vec<_> = given.keys().filter(|(onion, _hsdir)| *onion == key.0).collect();
        same.sort();
        same.iter().take(count).any(|other| *other == key)
    }

    /// What an HSDir has of a service or a backend.
    fn stored(&self, onion: &str, command: &Command) -> Answer {
        let hsdir = server(&command.line);
        match self.kept.lock().unwrap().get(&(onion.to_owned(), hsdir.to_owned())) {
            Some(text) => Answer::text(&format!(
                "250 OK\n650 HS_DESC RECEIVED {onion} NO_AUTH ${hsdir}~relay x\n\
                 650+HS_DESC_CONTENT {onion} x ${hsdir}~relay\n{text}.\n650 OK\n"
            )),
            None => self.world.answer(command),
        }
    }

    fn upload(&self, command: &Command) -> Answer {
        let onion = command.line.rsplit('=').next().unwrap().to_owned();
        let hsdir = server(&command.line).to_owned();
        self.uploads.lock().unwrap().push((passed(), onion.clone(), hsdir.clone()));
        match self.wrong(&onion).uploads {
            Uploads::Kept => {
                let text = command.data.replace("\r\n", "\n");
                let text = text.strip_suffix(".\n").unwrap().to_owned();
                self.kept.lock().unwrap().insert((onion, hsdir), text);
                self.world.answer(command)
            }
            Uploads::Refused => Answer::text(&format!(
                "250 OK\n650 HS_DESC FAILED {onion} UNKNOWN ${hsdir}~relay REASON=UPLOAD_REJECTED\n"
            )),
            Uploads::Swallowed => Answer::ok(),
        }
    }

    /// One connection to tor's SOCKS port.
    pub(super) async fn connect(&self, stream: UnixStream) {
        self.words.fetch_add(1, Ordering::Relaxed);
        let count = |more: bool| {
            let (now, most) = &mut *self.connections.lock().unwrap();
            *now = if more { *now + 1 } else { *now - 1 };
            *most = (*most).max(*now);
        };
        count(true);
        if !self.instead.lock().unwrap().contains_key(SOCKS) {
            let _ended = self.carry(stream).await;
        }
        count(false);
        self.words.fetch_add(1, Ordering::Relaxed);
    }

    /// What tor does with one.
    async fn carry(&self, mut stream: UnixStream) -> Option<()> {
        let mut octets = [0; 200];
        for answer in [&[5, 2][..], &[1, 0]] {
            let count = stream.read(&mut octets).await.ok()?;
            if let Some((_user, name)) = octets[..count].split_last_chunk::<3>() {
                self.probes.lock().unwrap().push(String::from_utf8_lossy(name).into_owned());
            }
            stream.write_all(answer).await.ok()?;
        }
        let count = stream.read(&mut octets).await.ok()?;
        let onion = std::str::from_utf8(octets.get(5..61)?).ok()?;
        self.asked.lock().unwrap().push((passed(), onion.to_owned()));
        self.words.fetch_add(u64::try_from(count).ok()?, Ordering::Relaxed);
        let backend = self.backend(onion);
        if backend == Backends::Cut {
            return None;
        }
        if backend == Backends::Hung {
            return stream.read_to_end(&mut Vec::new()).await.ok().map(|_octets| ());
        }
        let code = if backend == Backends::Deaf { 4 } else { 0 };
        stream.write_all(&[5, code, 0, 1, 0, 0, 0, 0, 0, 0]).await.ok()
    }

    /// One question to the signer of a service.
    pub(super) async fn sign(&self, service: usize, mut stream: UnixStream) {
        self.words.fetch_add(1, Ordering::Relaxed);
        let signer = self.wrong.lock().unwrap()[service].signer;
        let refused = Reply::Refused { rule: Rule::RateBudget, retry_after: 60 };
        let away = Reply::Away { reason: AwayReason::TokenAway, retry_after: 5 };
        let said = match signer {
            Signer::Good => {
                let _ended = self.world.sign(stream).await;
                return;
            }
            Signer::Slow => {
                tokio::time::sleep(Duration::from_secs(SLOW)).await;
                self.words.fetch_add(1, Ordering::Relaxed);
                let _ended = self.world.sign(stream).await;
                return;
            }
            Signer::Silent => Vec::new(),
            Signer::Garbage => b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
            Signer::Away => away.to_frame().as_bytes().to_vec(),
            Signer::Refuses => refused.to_frame().as_bytes().to_vec(),
        };
        let _gone = stream.write_all(&said).await;
        let _rest = stream.read_to_end(&mut Vec::new()).await;
    }
}
