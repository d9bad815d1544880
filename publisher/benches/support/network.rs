//! A made-up network of any size: consensus and microdescriptors in tor's format. The same numbers give the same text.

use data_encoding::BASE64_NOPAD;
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// A cheap stream of numbers (splitmix64): the text must only look like a network, not be secret.
struct Numbers(u64);

impl Numbers {
    /// The next number.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// `N` octets.
    fn octets<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_at| self.next().to_le_bytes()[0])
    }

    /// Base64 of `N` octets without padding.
    fn base64<const N: usize>(&mut self) -> String {
        BASE64_NOPAD.encode(&self.octets::<N>())
    }
}

/// The two documents of a network.
pub(crate) struct Network {
    /// `dir/status-vote/current/consensus-microdesc`.
    pub(crate) consensus: String,
    /// `md/all`.
    pub(crate) microdescs: String,
    /// Relays with the flag `HSDir`.
    pub(crate) hsdirs: usize,
}

impl Network {
    /// The consensus as it is at another hour: times, shared random values that change at midnight, and one HSDir in a hundred
    /// less, another hundredth each hour.
    pub(crate) fn at(&self, hour: u64, iso: impl Fn(u64) -> String) -> String {
        let mut text = String::with_capacity(self.consensus.len());
        let mut relays = 0;
        for line in self.consensus.lines() {
            relays += u64::from(line.starts_with("s "));
            match line.split_once(' ').unwrap_or((line, "")) {
                ("valid-after", _) => text.push_str(&format!("valid-after {}", iso(hour))),
                ("fresh-until", _) => text.push_str(&format!("fresh-until {}", iso(hour + 3600))),
                ("valid-until", _) => text.push_str(&format!("valid-until {}", iso(hour + 3 * 3600))),
                (word @ ("shared-rand-previous-value" | "shared-rand-current-value"), _) => {
                    let day = hour / 86_400 + u64::from(word == "shared-rand-current-value");
                    let value = data_encoding::BASE64.encode(&Sha256::digest(day.to_be_bytes()));
                    text.push_str(&format!("{word} 8 {value}"));
                }
                ("s", flags) if (relays + hour / 3600).is_multiple_of(100) => {
                    text.push_str("s ");
                    text.push_str(&flags.replace("HSDir ", ""));
                }
                _other => text.push_str(line),
            }
            text.push('\n');
        }
        text
    }
}

/// A network of `relays`, valid after 2026-11-22 10:00:00.
pub(crate) fn make(relays: usize) -> Network {
    let mut numbers = Numbers(relays.try_into().unwrap_or(1));
    let mut identities: Vec<[u8; 20]> = (0..relays).map(|_relay| numbers.octets()).collect();
    identities.sort_unstable();
    let (mut consensus, mut microdescs, mut hsdirs) = (PREAMBLE.to_owned(), String::new(), 0);
    for identity in identities {
        let microdesc = microdesc(&mut numbers);
        let hsdir = !numbers.next().is_multiple_of(4);
        hsdirs += usize::from(hsdir);
        relay(&mut consensus, &mut numbers, &identity, &microdesc, hsdir);
        microdescs.push_str(&microdesc);
    }
    consensus
        .push_str("directory-footer\nbandwidth-weights Wbd=0 Wbe=0 Wbg=4131 Wbm=10000 Wdb=10000 Web=10000\n");
    for _authority in 0..9 {
        consensus.push_str("directory-signature sha256 49748C3BC86A9713A56F0AE6A3920851B32FDAE7 D6C827BC77ADFA20B7CAA8355A01878D9C4207F5\n");
        object(&mut consensus, "SIGNATURE", &numbers.octets::<256>());
    }
    Network { consensus, microdescs, hsdirs }
}

/// The lines before the first relay.
const PREAMBLE: &str = "network-status-version 3 microdesc
vote-status consensus
consensus-method 35
valid-after 2026-11-22 10:00:00
fresh-until 2026-11-22 11:00:00
valid-until 2026-11-22 13:00:00
voting-delay 300 300
known-flags Authority BadExit Exit Fast Guard HSDir MiddleOnly NoEdConsensus Running Stable StaleDesc Sybil V2Dir Valid
params CircuitPriorityHalflifeMsec=30000 DoSCircuitCreationEnabled=1 cc_alg=2 cc_sendme_inc=31 hsdir_spread_store=4
shared-rand-previous-value 8 w1BCqR7LvBVAq+ree16rBUeSKZFE+1T/q/QO93L4KUk=
shared-rand-current-value 8 dZIbLWF1LRDJmrakMi1ff0XINt63mwI7/xWLNzwIfxo=
";

/// Appends an object.
fn object(text: &mut String, label: &str, octets: &[u8]) {
    let _infallible = writeln!(text, "-----BEGIN {label}-----");
    for line in octets.chunks(48) {
        let _infallible = writeln!(text, "{}", data_encoding::BASE64.encode(line));
    }
    let _infallible = writeln!(text, "-----END {label}-----");
}

/// One microdescriptor: keys, a family of some relays, an exit policy.
fn microdesc(numbers: &mut Numbers) -> String {
    let mut text = "onion-key\n".to_owned();
    object(&mut text, "RSA PUBLIC KEY", &numbers.octets::<140>());
    let _infallible = writeln!(text, "ntor-onion-key {}", numbers.base64::<32>());
    text.push_str("family");
    for _member in 0..numbers.next() % 21 {
        let _infallible = write!(text, " ${}", data_encoding::HEXUPPER.encode(&numbers.octets::<20>()));
    }
    text.push_str(
        "\np accept 20-23,43,53,79-81,88,110,143,194,220,389,443,464,531,543-544,554,563,636,706,749,873\n",
    );
    let _infallible = writeln!(text, "id ed25519 {}", numbers.base64::<32>());
    text
}

/// One relay of the consensus.
fn relay(text: &mut String, numbers: &mut Numbers, identity: &[u8; 20], microdesc: &str, hsdir: bool) {
    let [a, b, c, d] = numbers.octets();
    let identity = BASE64_NOPAD.encode(identity);
    let _infallible =
        writeln!(text, "r relay{a:02x}{b:02x}{c:02x} {identity} 2038-01-01 00:00:00 {a}.{b}.{c}.{d} 9001 0");
    let _infallible = writeln!(text, "a [2001:db8:{a:x}:{b:x}::{c:x}]:9001");
    let _infallible = writeln!(text, "m {}", BASE64_NOPAD.encode(&Sha256::digest(microdesc)));
    let flag = if hsdir { "HSDir " } else { "" };
    let _infallible = writeln!(text, "s Fast Guard {flag}Running Stable V2Dir Valid\nv Tor 0.4.9.11");
    text.push_str(
        "pr Conflux=1 Cons=1-2 Desc=1-4 DirCache=2 FlowCtrl=1-2 HSDir=2 HSIntro=4-5 HSRend=1-2 Link=1-5 ",
    );
    let _infallible = writeln!(
        text,
        "LinkAuth=1,3 Microdesc=1-3 Padding=2 Relay=1-6\nw Bandwidth={}",
        numbers.next() % 100_000
    );
}
