//! The consensus reader against the vectors and against everything that can be wrong with a consensus.

#![expect(clippy::string_slice, reason = "tests of known texts")]

use super::*;
use serde_json::Value;

const CONSENSUS: &str = include_str!("../../../tests/vectors/ring_srv_to_tp_consensus.txt");
const MICRODESCS: &str = include_str!("../../../tests/vectors/ring_srv_to_tp_mds.txt");

fn parse(consensus: &str) -> Result<Consensus, ConsensusError> {
    Consensus::parse(consensus.as_bytes(), MICRODESCS.as_bytes())
}

fn good() -> Consensus {
    parse(CONSENSUS).unwrap()
}

/// The text without its lines that start with `keyword`.
fn without(keyword: &str) -> String {
    CONSENSUS.split_inclusive('\n').filter(|line| !line.starts_with(keyword)).collect()
}

#[test]
fn recorded_consensus_is_read() {
    let consensus = good();
    assert_eq!(
        (consensus.relay_count, consensus.hsdirs.len(), consensus.hsdirs_without_microdesc),
        (8, 8, 0)
    );
    assert_eq!(consensus.voting_interval(), 20);
    assert_eq!((consensus.params.spread_store, consensus.params.spread_fetch), (2, 1));
    assert_eq!(consensus.params.cc_sendme_inc, 31);
    assert!(consensus.srv_previous.is_some() && consensus.srv_current.is_some());
    let first = consensus.hsdirs[0];
    assert_eq!(first.fingerprint.to_string(), "04D2A985C2A2BBC5FF6A89F3DA63FD359C862315");
    assert_eq!("04d2a985c2a2bbc5ff6a89f3da63fd359c862315".parse(), Ok(first.fingerprint));
    assert_eq!("04d2".parse::<Fingerprint>(), Err(FingerprintError));
}

#[test]
fn missing_shared_random_values_become_the_disaster_value_of_each_period() {
    let consensus = parse(&without("shared-rand-")).unwrap();
    assert_eq!((consensus.srv_previous, consensus.srv_current), (None, None));
    let schedule = consensus.schedule(true);
    assert_eq!(schedule.first.srv, Srv::disaster(schedule.first.period));
    assert_eq!(schedule.second.srv, Srv::disaster(schedule.second.period));
    assert_ne!(schedule.first.srv, schedule.second.srv);
}

#[test]
fn missing_and_repeated_lines_are_named() {
    for keyword in ["valid-after", "fresh-until", "valid-until"] {
        assert_eq!(parse(&without(keyword)), Err(ConsensusError::Missing { keyword }));
    }
    let twice = CONSENSUS.replacen("params ", "params a=1\nparams ", 1);
    assert_eq!(parse(&twice), Err(ConsensusError::Duplicate { line: 16, keyword: "params" }));
    let flags = CONSENSUS.replacen("\ns ", "\ns Fast\ns ", 1);
    assert!(matches!(parse(&flags), Err(ConsensusError::Duplicate { keyword: "s", .. })));
    let bare = without("m ");
    assert!(matches!(parse(&bare), Err(ConsensusError::RelayIncomplete { keyword: "m", .. })));
}

#[test]
fn malformed_values_are_named_with_their_line() {
    for (from, to, keyword) in [
        ("valid-after 2026", "valid-after 2O26", "valid-after"),
        ("shared-rand-current-value 3 d", "shared-rand-current-value 3 ", "shared-rand-current-value"),
        ("params A", "params A A", "params"),
        ("r auth0 BNK", "r auth0 BN", "r"),
        ("\nm 1gW7", "\nm gW7", "m"),
    ] {
        let broken = CONSENSUS.replacen(from, to, 1);
        assert_ne!(broken, CONSENSUS);
        let error = parse(&broken).unwrap_err();
        assert!(
            matches!(error, ConsensusError::Malformed { keyword: found, .. } if found == keyword),
            "{error}"
        );
    }
}

#[test]
fn relays_out_of_order_are_refused() {
    let relay = CONSENSUS.find("\nr ").unwrap() + 1;
    let next = relay + CONSENSUS[relay..].find("\nr ").unwrap() + 1;
    let twice = format!("{}{}{}", &CONSENSUS[..next], &CONSENSUS[relay..next], &CONSENSUS[next..]);
    assert!(matches!(parse(&twice), Err(ConsensusError::RelayOrder { .. })));
}

#[test]
fn a_text_cut_at_any_line_is_noticed() {
    let ends: Vec<_> = CONSENSUS.match_indices('\n').map(|(at, _)| at + 1).collect();
    let signatures = CONSENSUS.find("-----END SIGNATURE").unwrap();
    for end in ends.into_iter().filter(|end| *end <= signatures) {
        assert!(parse(&CONSENSUS[..end]).is_err(), "cut at {end}");
    }
    assert!(matches!(parse(CONSENSUS.trim_end()), Err(ConsensusError::Truncated { .. })));
    assert_eq!(parse(""), Err(ConsensusError::Truncated { line: 0 }));
}

#[test]
fn other_documents_are_refused_at_the_first_line() {
    let other = CONSENSUS.replacen("3 microdesc", "3", 1);
    for text in [other.as_str(), "hs-descriptor 3\n", "\n"] {
        assert_eq!(parse(text), Err(ConsensusError::NotAConsensus { line: 1 }));
    }
    assert_eq!(Consensus::parse(b"\xff\n", b""), Err(ConsensusError::NotAConsensus { line: 1 }));
    let long = vec![b'x'; 100_000];
    assert!(matches!(Consensus::parse(&long, b""), Err(ConsensusError::LineTooLong(_))));
}

#[test]
fn times_in_the_wrong_order_are_refused() {
    let swapped = CONSENSUS.replacen("fresh-until 2026-11-22 10:40:40", "fresh-until 2026-11-22 10:40:20", 1);
    assert_eq!(parse(&swapped), Err(ConsensusError::Times));
}

#[test]
fn only_hsdirs_of_the_right_kind_count() {
    for (from, to) in [
        ("s Authority Exit Fast Guard HSDir", "s Authority Exit Fast Guard"),
        ("v Tor 0.4.9.11", "v Tor 0.2.9.1"),
        ("HSDir=2", "HSDir=1"),
    ] {
        let relay = CONSENSUS.find("\nr ").unwrap();
        let (head, tail) = CONSENSUS.split_at(relay);
        let consensus = parse(&format!("{head}{}", tail.replacen(from, to, 1))).unwrap();
        assert_eq!((consensus.relay_count, consensus.hsdirs.len()), (8, 7), "{from}");
        assert_eq!(consensus.hsdirs_without_microdesc, 0);
    }
}

#[test]
fn unknown_microdescriptors_leave_their_relay_out() {
    let second = MICRODESCS[1..].find("onion-key\n").unwrap() + 1;
    let fewer = Consensus::parse(CONSENSUS.as_bytes(), &MICRODESCS.as_bytes()[second..]).unwrap();
    assert_eq!((fewer.hsdirs.len(), fewer.hsdirs_without_microdesc), (7, 1));
    let cut = &MICRODESCS.as_bytes()[..MICRODESCS.len() - 5];
    assert_eq!(Consensus::parse(CONSENSUS.as_bytes(), cut).unwrap().hsdirs.len(), 7);
    let two_keys = MICRODESCS.replacen("id ed25519 ", "id ed25519 AAAA\nid ed25519 ", 1);
    assert_eq!(Consensus::parse(CONSENSUS.as_bytes(), two_keys.as_bytes()).unwrap().hsdirs.len(), 7);
}

#[test]
fn usable_means_live_and_mostly_known() {
    let consensus = good();
    let (start, end) = (consensus.valid_after, consensus.valid_until);
    for now in [start.minus(86_400), start, end.plus(86_400)] {
        assert_eq!(consensus.check_usable(now), Ok(()));
    }
    for now in [start.minus(86_401), end.plus(86_401)] {
        assert!(matches!(consensus.check_usable(now), Err(ConsensusError::NotLive { .. })));
    }
    let bare = Consensus::parse(CONSENSUS.as_bytes(), b"").unwrap();
    assert_eq!(bare.check_usable(start), Err(ConsensusError::TooFewHsDirs { known: 0, wanted: 8 }));
    let none = parse(&CONSENSUS.replace(" HSDir ", " ")).unwrap();
    assert_eq!(none.check_usable(start), Err(ConsensusError::TooFewHsDirs { known: 0, wanted: 0 }));
}

#[test]
fn time_vectors_give_the_two_descriptors() {
    let vectors: Value = serde_json::from_str(include_str!("../../../tests/vectors/time.json")).unwrap();
    let cases = vectors["cases"].as_array().unwrap();
    assert!(cases.len() >= 15);
    for case in cases {
        let number = |value: &Value| value.as_u64().unwrap();
        let interval = number(&case["voting_interval_s"]);
        let valid_after = UnixTime(number(&case["valid_after"]));
        let (fresh_until, valid_until) = (valid_after.plus(interval), valid_after.plus(3 * interval));
        let consensus = Consensus { valid_after, fresh_until, valid_until, ..good() };
        let schedule = consensus.schedule(interval != 3600);
        assert_eq!(schedule.next_rotation.0, number(&case["next_rotation"]), "{case}");
        assert_eq!(schedule.first.run_start.0, number(&case["previous_srv_run_start"]));
        assert_eq!(schedule.second.run_start.0, number(&case["srv_run_start"]));
        for (role, name) in
            [(schedule.first, "first"), (schedule.second, "second"), (schedule.fetch, "client_fetch")]
        {
            assert_eq!(role.period.number.0, number(&case[name]["time_period"]), "{name} {case}");
            assert_eq!(u64::from(role.period.length.minutes()), number(&case["period_length_minutes"]));
            let current = case[name]["srv"] == "current";
            assert_eq!(Some(role.srv), if current { consensus.srv_current } else { consensus.srv_previous });
        }
    }
}

proptest::proptest! {
    #[test]
    fn chunks_do_not_matter(size in 1_usize..5000) {
        let mut reader = ConsensusReader::new();
        CONSENSUS.as_bytes().chunks(size).try_for_each(|chunk| reader.push(chunk)).unwrap();
        let mut reader = reader.end().unwrap();
        MICRODESCS.as_bytes().chunks(size).try_for_each(|chunk| reader.push(chunk)).unwrap();
        proptest::prop_assert_eq!(reader.end().unwrap(), good());
    }

    #[test]
    fn no_change_panics(at in 0_usize..9000, octet: u8, kind in 0_u8..3, mds: bool) {
        let (mut consensus, mut microdescs) = (CONSENSUS.as_bytes().to_vec(), MICRODESCS.as_bytes().to_vec());
        let text = if mds { &mut microdescs } else { &mut consensus };
        let at = at % text.len();
        match kind {
            0 => text[at] = octet,
            1 => text.insert(at, octet),
            _ => drop(text.remove(at)),
        }
        if let Ok(consensus) = Consensus::parse(&consensus, &microdescs) {
            let _schedule = (consensus.schedule(true), consensus.schedule(false));
        }
    }
}
