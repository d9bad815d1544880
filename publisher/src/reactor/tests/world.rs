//! A made-up world for the whole publisher in pretended time: what a tor's control port answers, with a network and backends, and a signer.
//!
//! Each backend renews its descriptor every 90 minutes; its points stay. HSDirs of six kinds have a copy of their own each.

use super::control_port::{Answer, Command, usual};
use super::network;
use super::onions::{self, BEGIN, MADE, Onion, fetched, made, make, points, server};
use onionkeep_common::wire::frame::Header;
use onionkeep_common::wire::{CertifyRequest, HEADER_LEN, Reply};
use onionkeep_common::{PeriodLength, TimePeriod, UnixTime};
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// A copy of a descriptor: when it was made, for which period, and its text.
type Made = (UnixTime, TimePeriod, String);

/// Everything that answers.
pub(crate) struct World {
    backends: HashMap<String, (u64, Onion)>,
    services: Vec<Onion>,
    network: network::Network,
    clock: Box<dyn Fn() -> UnixTime + Send + Sync>,
    /// The valid-after that the publisher has read last.
    read: AtomicU64,
    /// How many HSDirs store each of two replicas.
    pub(crate) spread: AtomicU64,
    /// Copies by backend and HSDir's kind: when they were made for which period, and the text.
    copies: Mutex<HashMap<(u64, u8), Made>>,
}

impl World {
    /// So many frontends, backends and relays, whose time is that of a clock that begins with [`BEGIN`].
    pub(crate) fn new(
        (services, backends, relays): (usize, usize, usize),
        clock: impl Fn() -> UnixTime + Send + Sync + 'static,
    ) -> Self {
        Self {
            backends: onions::backends(backends),
            services: onions::services(services),
            network: network::make(relays),
            clock: Box::new(clock),
            read: AtomicU64::new(MADE),
            spread: AtomicU64::new(4),
            copies: Mutex::default(),
        }
    }

    /// The time.
    fn now(&self) -> UnixTime {
        (self.clock)()
    }

    /// What tor's control port answers.
    pub(crate) fn answer(&self, command: &Command) -> Answer {
        let now = self.now();
        let hour = now.0 / 3600 * 3600;
        let time = |at: u64| {
            let day = format!("2026-11-{:02}", 22 + (at / 86_400 - MADE / 86_400));
            format!("{day} {:02}:00:00", at % 86_400 / 3600)
        };
        let mut words = command.line.split(' ');
        match (words.next().unwrap_or_default(), words.next().unwrap_or_default()) {
            ("HSFETCH", onion) => self.fetch(onion, server(&command.line)),
            ("+HSPOST", _server) => {
                let onion = command.line.rsplit('=').next().unwrap_or_default();
                let hsdir = server(&command.line);
                Answer::text(&format!("250 OK\n650 HS_DESC UPLOADED {onion} UNKNOWN ${hsdir}~relay\n"))
            }
            ("GETINFO", "consensus/valid-after") => {
                Answer::text(&format!("250-consensus/valid-after={}\n250 OK\n", time(hour)))
            }
            ("GETINFO", "consensus/valid-until") => {
                Answer::text(&format!("250-consensus/valid-until={}\n250 OK\n", time(hour + 3 * 3600)))
            }
            ("GETINFO", key @ "dir/status-vote/current/consensus-microdesc") => {
                self.read.store(hour, Ordering::Relaxed);
                let (head, rest) = self.network.consensus.split_once("voting-delay").unwrap();
                let head = head.replace(&time(MADE + 3 * 3600), &time(hour + 3 * 3600));
                let head = head.replace(&time(MADE + 3600), &time(hour + 3600));
                let head = head.replace(&time(MADE), &time(hour));
                let spread = self.spread.load(Ordering::Relaxed);
                let rest = rest.replace("hsdir_spread_store=4", &format!("hsdir_spread_store={spread}"));
                Answer::block(key, &format!("{head}voting-delay{rest}"))
            }
            ("GETINFO", key @ "md/all") => Answer::block(key, &self.network.microdescs),
            _other => usual(command).unwrap_or_else(Answer::ok),
        }
    }

    /// An HSDir's answer to a fetch.
    fn fetch(&self, onion: &str, hsdir: &str) -> Answer {
        let Some((number, own)) = self.backends.get(onion) else {
            return Answer::text(&format!(
                "250 OK\n650 HS_DESC FAILED {onion} NO_AUTH ${hsdir}~relay x REASON=NOT_FOUND\n\
                 650+HS_DESC_CONTENT {onion} x ${hsdir}~relay\n\n.\n650 OK\n"
            ));
        };
        let text = self.copy(*number, own, hsdir.as_bytes()[39] % 6);
        Answer::text(&format!(
            "250 OK\n650 HS_DESC RECEIVED {onion} NO_AUTH ${hsdir}~relay x\n\
             650+HS_DESC_CONTENT {onion} x ${hsdir}~relay\n{text}.\n650 OK\n"
        ))
    }

    /// The copy of a backend's descriptor that some HSDirs have.
    fn copy(&self, number: u64, own: &Onion, kind: u8) -> String {
        let role = fetched(self.read.load(Ordering::Relaxed));
        let made = made(number, self.now().0);
        let mut copies = self.copies.lock().unwrap();
        let copy = copies.entry((number, kind)).or_insert_with(|| (UnixTime(0), role.period, String::new()));
        if (copy.0, copy.1) != (made, role.period) {
            *copy = (
                made,
                role.period,
                make(number, own, &role, made, &points(number, UnixTime(BEGIN)), &kind.to_string()),
            );
        }
        copy.2.clone()
    }

    /// Signs on one connection.
    pub(crate) async fn sign(&self, mut stream: UnixStream) -> Option<()> {
        loop {
            let mut head = [0; HEADER_LEN];
            stream.read_exact(&mut head).await.ok()?;
            let head = Header::parse(head).ok()?;
            let mut content = vec![0; head.content_len];
            stream.read_exact(&mut content).await.ok()?;
            let request = CertifyRequest::parse(head.kind, &content).ok()?;
            let own = self.services.iter().find(|own| own.identity() == &request.onion)?;
            let period = TimePeriod { number: request.period, length: PeriodLength::DAY };
            let cert = own.certify(period, &request.key, self.now());
            stream.write_all(Reply::Certificate(cert).to_frame().as_bytes()).await.ok()?;
        }
    }
}
