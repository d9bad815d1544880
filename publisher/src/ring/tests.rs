//! The ring against what a running tor uploaded where.

use super::*;
use crate::consensus::{Consensus, Fingerprint};
use data_encoding::HEXLOWER;
use onionkeep_common::{OnionAddress, PeriodLength, PeriodNumber};
use serde_json::Value;

fn octets(value: &Value) -> [u8; 32] {
    HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap().try_into().unwrap()
}

fn period(number: &Value, minutes: &Value) -> TimePeriod {
    let minutes = u32::try_from(minutes.as_u64().unwrap()).unwrap();
    TimePeriod { number: PeriodNumber(number.as_u64().unwrap()), length: PeriodLength::new(minutes).unwrap() }
}

/// A recorded network: what tor knew and what it uploaded where.
fn recorded(name: &str) -> (Value, Consensus) {
    let (json, consensus, microdescs) = match name {
        "srv_to_tp" => (
            include_str!("../../../tests/vectors/ring_srv_to_tp.json"),
            include_str!("../../../tests/vectors/ring_srv_to_tp_consensus.txt"),
            include_str!("../../../tests/vectors/ring_srv_to_tp_mds.txt"),
        ),
        _ => (
            include_str!("../../../tests/vectors/ring_tp_to_srv.json"),
            include_str!("../../../tests/vectors/ring_tp_to_srv_consensus.txt"),
            include_str!("../../../tests/vectors/ring_tp_to_srv_mds.txt"),
        ),
    };
    let consensus = Consensus::parse(consensus.as_bytes(), microdescs.as_bytes()).unwrap();
    (serde_json::from_str(json).unwrap(), consensus)
}

#[test]
fn index_vectors_agree() {
    let vectors: Value =
        serde_json::from_str(include_str!("../../../tests/vectors/hashring_index.json")).unwrap();
    for row in vectors["hsdir_index"].as_array().unwrap() {
        let period = period(&row["time_period"], &row["period_length_minutes"]);
        let index =
            hsdir_index(&RelayEd25519(octets(&row["relay_ed25519"])), &Srv(octets(&row["srv"])), period);
        assert_eq!(index, octets(&row["hsdir_index"]));
    }
    for row in vectors["disaster_srv"].as_array().unwrap() {
        let period = period(&row["time_period"], &row["period_length_minutes"]);
        assert_eq!(Srv::disaster(period).0, octets(&row["srv"]));
    }
    // The key of tor's hs_index vector (32 times 0x42) is no usable point, so the hash is taken directly.
    for row in vectors["hs_index"].as_array().unwrap() {
        let period = period(&row["time_period"], &row["period_length_minutes"]);
        let replica = u8::try_from(row["replica"].as_u64().unwrap()).unwrap();
        let index = index_of_octets(&octets(&row["blinded_public"]), replica, period);
        assert_eq!(index, octets(&row["hs_index"]));
    }
}

#[test]
fn recorded_uploads_of_tor_are_reproduced_in_order() {
    for name in ["srv_to_tp", "tp_to_srv"] {
        let (vector, consensus) = recorded(name);
        let onion: OnionAddress = vector["address"].as_str().unwrap().parse().unwrap();
        let schedule = consensus.schedule(true);
        for (role, row) in [(schedule.first, &vector["first"]), (schedule.second, &vector["second"])] {
            assert_eq!(role.period, period(&row["tp"], &vector["period_length_minutes"]), "{name}");
            assert_eq!(role.srv.0, octets(&row["srv"]));
            let blinded = onion.identity().blinded(role.period).unwrap();
            assert_eq!(*blinded.as_bytes(), octets(&row["blinded"]));
            let ring = Ring::new(&consensus.hsdirs, role.period, &role.srv);
            let params = consensus.params;
            let mine: Vec<_> = ring.responsible(&blinded, params.n_replicas, params.spread_store);
            let uploads = row["uploads"].as_array().unwrap();
            assert_eq!(mine.len(), uploads.len());
            for (hsdir, upload) in mine.iter().zip(uploads) {
                assert_eq!(hsdir.fingerprint.to_string(), upload["fingerprint"].as_str().unwrap());
                let index = hsdir_index(&hsdir.ed25519, &role.srv, role.period);
                assert_eq!(index, octets(&upload["hsdir_index"]));
            }
        }
        let fetch = schedule.fetch;
        assert_eq!(fetch.period, period(&vector["fetch"]["tp"], &vector["period_length_minutes"]));
        assert_eq!(fetch.srv.0, octets(&vector["fetch"]["srv"]));
    }
}

#[test]
fn a_small_ring_gives_every_node_once() {
    let (vector, consensus) = recorded("srv_to_tp");
    let onion: OnionAddress = vector["address"].as_str().unwrap().parse().unwrap();
    let role = consensus.schedule(true).first;
    let blinded = onion.identity().blinded(role.period).unwrap();
    let ring = Ring::new(&consensus.hsdirs, role.period, &role.srv);
    let mut all = ring.responsible(&blinded, 2, 128);
    assert_eq!(all.len(), consensus.hsdirs.len());
    all.sort_unstable();
    assert_eq!(all, consensus.hsdirs);
    assert!(Ring::new(&[], role.period, &role.srv).responsible(&blinded, 16, 128).is_empty());
    assert!(ring.responsible(&blinded, 0, 4).is_empty());
}

proptest::proptest! {
    #[test]
    fn order_of_the_input_does_not_matter(count in 0_u8..40, turn in 0_usize..40, replicas in 1_u8..4, spread in 1_u8..6) {
        let hsdir = |n: u8| HsDir { fingerprint: Fingerprint([n; 20]), ed25519: RelayEd25519([n; 32]) };
        let hsdirs: Vec<_> = (0..count).map(hsdir).collect();
        let mut turned = hsdirs.clone();
        turned.rotate_left(turn % hsdirs.len().max(1));
        let (vector, consensus) = recorded("srv_to_tp");
        let onion: OnionAddress = vector["address"].as_str().unwrap().parse().unwrap();
        let role = consensus.schedule(true).second;
        let blinded = onion.identity().blinded(role.period).unwrap();
        let one = Ring::new(&hsdirs, role.period, &role.srv).responsible(&blinded, replicas, spread);
        let two = Ring::new(&turned, role.period, &role.srv).responsible(&blinded, replicas, spread);
        let wanted = usize::from(replicas) * usize::from(spread);
        proptest::prop_assert_eq!(one.len(), wanted.min(hsdirs.len()));
        proptest::prop_assert_eq!(one, two);
    }
}
