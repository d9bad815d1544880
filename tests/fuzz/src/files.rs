//! Targets for files, stored objects and inner packets: sealed keys, key files to import, the publisher's state, the vault.

use super::scratch::Scratch;
use data_encoding::HEXLOWER;
use onionkeep_common::{OnionAddress, PeriodLength, PeriodNumber, TimePeriod};
use onionkeep_publisher::state::StateDir;
use onionkeep_signer::import;
use onionkeep_signer::seal::{Kek, SealedKey, TokenName};
use onionkeep_signer::vault::message::{Answer, Ask, PACKET_MAX};
use sha3::{Digest, Sha3_256};
use zeroize::Zeroizing;

/// What is read is written the same, and does not open under a wrong key.
pub fn sealed_key(octets: &[u8]) -> bool {
    let Ok(sealed) = SealedKey::from_octets(octets) else { return false };
    assert_eq!(sealed.to_octets(), octets);
    let token = TokenName { label: "onionkeep".to_owned(), serial: "1a2b3c4d5e6f7081".to_owned() };
    // The golden seal's own key: whatever opens holds the key that it says.
    if let Ok(key) = sealed.open(&Kek::new(Zeroizing::new([2; 32])), &token) {
        assert_eq!(OnionAddress::new(*key.public()), sealed.onion());
    }
    assert!(sealed.open(&Kek::new(Zeroizing::new([9; 32])), &token).is_err());
    true
}

/// What the gate asks the vault: written again it is the same, octet for octet, and it is no answer.
pub fn vault_ask(octets: &[u8]) -> bool {
    let Ok((id, ask)) = Ask::parse(octets) else { return false };
    assert_eq!(ask.to_packet(id), octets);
    assert!(Answer::parse(octets).is_err() && octets.len() <= PACKET_MAX);
    true
}

/// What the vault answers: written again it is the same, octet for octet, and it is no question.
pub fn vault_answer(octets: &[u8]) -> bool {
    let Ok((id, answer)) = Answer::parse(octets) else { return false };
    assert_eq!(answer.to_packet(id), octets);
    assert!(Ask::parse(octets).is_err() && octets.len() <= PACKET_MAX);
    true
}

/// A key file, and the same octets as the files that may stand beside a good one.
pub fn key_import(octets: &[u8]) -> bool {
    thread_local! { static FOLDER: Scratch = Scratch::new(); }
    FOLDER.with(|folder| {
        let read = import::read(&folder.write("key", octets), None);
        if let Ok(key) = &read {
            let again =
                key.with_octets(|octets| [b"== ed25519v1-secret: type0 ==\0\0\0", &octets[..]].concat());
            let again = import::read(&folder.write("again", &again), None).unwrap();
            assert_eq!(again.public(), key.public());
        }
        let good = folder.write("good", GOOD_PEM);
        let hostname = folder.write("name", octets);
        if let Ok(key) = import::read(&good, Some(&hostname)) {
            let address = OnionAddress::new(*key.public()).to_string();
            let read = String::from_utf8_lossy(octets).to_ascii_lowercase();
            assert_eq!(
                read.trim_end_matches(['\n', '\r']).trim_end_matches(".onion"),
                address.trim_end_matches(".onion")
            );
        }
        folder.write("hs_ed25519_public_key", octets);
        if let Ok(key) = import::read(&good, None) {
            assert_eq!(
                octets,
                [b"== ed25519v1-public: type0 ==\0\0\0", &key.public().as_bytes()[..]].concat()
            );
        }
        folder.remove("hs_ed25519_public_key");
        read.is_ok()
    })
}

/// The key of RFC 8410, 10.3, without attributes.
const GOOD_PEM: &[u8] = b"-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
";

/// A period's file and the counter secret: as they stand, and with a good checksum; what is read is written the same.
pub fn period_state(octets: &[u8]) -> bool {
    thread_local! {
        static FOLDER: Scratch = Scratch::new();
        static STATE: StateDir = FOLDER.with(|folder| StateDir::open(&folder.path("state")).unwrap());
    }
    let onion: OnionAddress = "25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkenl5sid".parse().unwrap();
    let period = TimePeriod { number: PeriodNumber(20_000), length: PeriodLength::DAY };
    let body = [octets, b"\n"].concat();
    let whole =
        [body.clone(), format!("sha3-256 {}\n", HEXLOWER.encode(&Sha3_256::digest(&body))).into()].concat();
    FOLDER.with(|folder| {
        STATE.with(|state| {
            std::fs::create_dir_all(folder.path(&format!("state/{}", onion.bare()))).unwrap();
            let name = format!("state/{}/20000-1440", onion.bare());
            let mut accepted = false;
            for content in [octets, &whole] {
                folder.write("state/counter-secret", content);
                accepted |= state.counter_secret().is_ok();
                let path = folder.write(&name, content);
                let Ok(read) = state.load(&onion, period) else { continue };
                accepted = true;
                state.save(&onion, &read.unwrap()).unwrap();
                let first = std::fs::read(&path).unwrap();
                state.save(&onion, &state.load(&onion, period).unwrap().unwrap()).unwrap();
                assert_eq!(std::fs::read(&path).unwrap(), first);
            }
            accepted
        })
    })
}
