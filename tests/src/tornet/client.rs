//! The visitor: the only place where a request goes through a client tor, and where a descriptor is fetched for a look.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::{Control, Network, Node, free_port};

/// tor delays a NEWNYM that comes sooner than this after the one before.
const NEWNYM_RATE: Duration = Duration::from_secs(10);

/// A client tor with its SOCKS port.
pub struct Client {
    /// The tor.
    node: Node,
    /// SOCKS port on 127.0.0.1.
    socks: u16,
    /// Long-lived control connection.
    control: Control,
    /// When the last NEWNYM was sent.
    renewed: Option<Instant>,
}

/// What a request through the client brought.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The body, without the line end: the name of the backend.
    pub from: String,
    /// How long it took.
    pub took: Duration,
}

impl Client {
    /// Starts a client and waits until it is ready.
    pub fn start(network: &Network, name: &str) -> Result<Self> {
        Self::start_with(network, name, "")
    }

    /// [`Client::start`] with more torrc lines.
    pub fn start_with(network: &Network, name: &str, extra: &str) -> Result<Self> {
        let socks = free_port()?;
        let torrc = format!("SocksPort 127.0.0.1:{socks} ExtendedErrors\n{extra}");
        let mut node = network.tor(name, &torrc)?;
        network.wait_ready(&mut node)?;
        let control = node.control()?;
        Ok(Self { node, socks, control, renewed: None })
    }

    /// Its SOCKS port on 127.0.0.1.
    #[must_use]
    pub fn socks_port(&self) -> u16 {
        self.socks
    }

    /// Its tor.
    pub fn node(&mut self) -> &mut Node {
        &mut self.node
    }

    /// Its control connection.
    pub fn control(&mut self) -> &mut Control {
        &mut self.control
    }

    /// How long until [`Client::forget`] would take effect at once.
    #[must_use]
    pub fn until_forget(&self) -> Duration {
        self.renewed.map_or(Duration::ZERO, |then| NEWNYM_RATE.saturating_sub(then.elapsed()))
    }

    /// Makes the client forget circuits, descriptors and failures (NEWNYM), after tor's own rate limit has passed.
    pub fn forget(&mut self) -> Result<()> {
        std::thread::sleep(self.until_forget());
        self.control.ask("SIGNAL NEWNYM")?;
        self.renewed = Some(Instant::now());
        Ok(())
    }

    /// Asks the web service of `address` (with `.onion`) once, on a circuit of its own.
    pub fn get(&self, address: &str, limit: Duration) -> Result<Answer> {
        let start = Instant::now();
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.socks))?;
        stream.set_read_timeout(Some(limit))?;
        stream.set_write_timeout(Some(limit))?;
        socks_connect(&mut stream, address)?;
        write!(stream, "GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply).context("the answer broke off")?;
        let (head, body) = reply.split_once("\r\n\r\n").context("no HTTP answer")?;
        ensure!(head.starts_with("HTTP/1.1 200"), "odd answer: {head}");
        Ok(Answer { from: body.trim().to_owned(), took: start.elapsed() })
    }

    /// Downloads so many octets from the web service of `address` (with `.onion`), on a circuit of its own.
    pub fn download(&self, address: &str, octets: usize, limit: Duration) -> Result<Duration> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.socks))?;
        stream.set_read_timeout(Some(limit))?;
        stream.set_write_timeout(Some(limit))?;
        socks_connect(&mut stream, address)?;
        let start = Instant::now();
        write!(stream, "GET /octets/{octets} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).context("the download broke off")?;
        ensure!(reply.len() > octets, "{} octets came, {octets} were asked for", reply.len());
        Ok(start.elapsed())
    }

    /// Asks until an answer comes, forgetting everything in between.
    pub fn get_patiently(&mut self, address: &str, limit: Duration) -> Result<Answer> {
        let start = Instant::now();
        loop {
            let left = limit.saturating_sub(start.elapsed());
            match self.get(address, left.clamp(Duration::from_secs(1), Duration::from_secs(20))) {
                Ok(answer) => return Ok(answer),
                Err(error) if left.is_zero() => {
                    bail!("no answer from the onion service within {} s: {error:#}", limit.as_secs())
                }
                Err(_) => self.forget()?,
            }
        }
    }

    /// The current descriptor of `address` at every HSDir that has it: fingerprint to text.
    pub fn fetch_descriptors(
        &mut self,
        network: &Network,
        address: &str,
        limit: Duration,
    ) -> Result<BTreeMap<String, String>> {
        let found = self.fetch_many(network, &[address.to_owned()], limit)?;
        Ok(found.into_values().next().unwrap_or_default())
    }

    /// The same for several addresses at once: address to fingerprint to text.
    pub fn fetch_many(
        &mut self,
        network: &Network,
        addresses: &[String],
        limit: Duration,
    ) -> Result<BTreeMap<String, BTreeMap<String, String>>> {
        self.fetch_from(network.fingerprints(), addresses, limit)
    }

    /// The same at these HSDirs.
    pub fn fetch_from(
        &mut self,
        hsdirs: &[String],
        addresses: &[String],
        limit: Duration,
    ) -> Result<BTreeMap<String, BTreeMap<String, String>>> {
        let mut found: BTreeMap<String, BTreeMap<String, String>> =
            addresses.iter().map(|address| (address.clone(), BTreeMap::new())).collect();
        self.control.ask("SETEVENTS HS_DESC HS_DESC_CONTENT")?;
        self.control.drain_events(Duration::from_millis(1));
        let servers: Vec<String> = hsdirs.iter().map(|print| format!("SERVER={print}")).collect();
        for address in addresses {
            let name = address.trim_end_matches(".onion");
            self.control.ask(&format!("HSFETCH {name} {}", servers.join(" ")))?;
        }
        let deadline = Instant::now() + limit;
        for _ in 0..hsdirs.len() * addresses.len() {
            let left = deadline.saturating_duration_since(Instant::now());
            let is_content = |line: &super::Line| line.text.starts_with("HS_DESC_CONTENT ");
            let Ok(event) = self.control.event("a descriptor", left, is_content) else { break };
            let mut words = event.text.split(' ').skip(1);
            let (name, server) = (words.next().unwrap_or_default(), words.nth(1));
            let server = server.context("no HSDir in the event")?;
            if !event.data.trim().is_empty()
                && let Some(copies) = found.get_mut(&format!("{name}.onion"))
            {
                copies.insert(server.chars().skip(1).take(40).collect(), event.data);
            }
        }
        self.control.ask("SETEVENTS")?;
        Ok(found)
    }
}

/// SOCKS5 with a user name never used before, so that tor builds new circuits for this stream.
///
/// Spec: RFC 1928, RFC 1929; tor's `IsolateSOCKSAuth`.
fn socks_connect(stream: &mut TcpStream, host: &str) -> Result<()> {
    static VISIT: AtomicU64 = AtomicU64::new(0);
    let user = format!("visit{}", VISIT.fetch_add(1, Ordering::Relaxed));
    let length = |text: &str| u8::try_from(text.len()).context("name too long for SOCKS");
    stream.write_all(&[5, 1, 2])?;
    let mut two = [0; 2];
    stream.read_exact(&mut two)?;
    ensure!(two == [5, 2], "tor's SOCKS port refuses a user name");
    stream.write_all(&[&[1, length(&user)?], user.as_bytes(), &[1, b'x']].concat())?;
    stream.read_exact(&mut two)?;
    ensure!(two == [1, 0], "tor's SOCKS port refuses this user name");
    stream.write_all(&[&[5, 1, 0, 3, length(host)?], host.as_bytes(), &80_u16.to_be_bytes()].concat())?;
    let mut reply = [0; 10];
    stream.read_exact(&mut reply).context("tor gave no SOCKS reply in time")?;
    ensure!(reply[1] == 0, "tor could not connect: {}", refusal(reply[1]));
    Ok(())
}

/// What tor says with `ExtendedErrors` when an onion service cannot be reached.
///
/// Spec: socks-extensions, and tor's manual page, `ExtendedErrors`.
fn refusal(code: u8) -> String {
    let text = match code {
        0x01 => "general failure",
        0x04 => "host unreachable",
        0x05 => "connection refused",
        0x06 => "timed out",
        0xF0 => "descriptor not found",
        0xF1 => "descriptor invalid",
        0xF2 => "introduction failed",
        0xF3 => "rendezvous failed",
        0xF6 => "bad address",
        0xF7 => "introduction timed out",
        other => return format!("SOCKS reply {other:#04x}"),
    };
    text.to_owned()
}
