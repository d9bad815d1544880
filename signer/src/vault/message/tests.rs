//! Packets: each message comes back as it was, and no octets but those of a message are read as one.

use super::*;
use onionkeep_core::ExpandedKey;
use proptest::prelude::*;

fn terms() -> CertTerms {
    let key = *ExpandedKey::from_seed(&[3; 32]).unwrap().public();
    CertTerms {
        period: TimePeriod { number: PeriodNumber(20_000), length: PeriodLength::DAY },
        key: DescSigningKey::from_bytes(*key.as_bytes()).unwrap(),
        expires: ExpirationHours(499_000),
    }
}

fn asks() -> Vec<Ask> {
    let onion = OnionAddress::new(*ExpandedKey::from_seed(&[4; 32]).unwrap().public());
    vec![
        Ask::Certify { onion, terms: terms() },
        Ask::SelfTest { onion },
        Ask::SignHead { seq: u64::MAX, head: [9; 32] },
        Ask::DeviceLog,
    ]
}

fn answers() -> Vec<Answer> {
    let ready = |audit| Answer::Ready { generation: Generation(7), audit };
    vec![
        Answer::Certificate(EncodedCert([5; 140])),
        Answer::Well,
        Answer::HeadSignature(AuditSignature([6; 64])),
        Answer::DeviceLog(None),
        Answer::DeviceLog(Some(DeviceLog { count: u64::MAX, head: Head([3; 32]) })),
        Answer::Starting(Generation(1)),
        ready(None),
        ready(Some(AuditKey::Ed25519([1; 32]))),
        ready(Some(AuditKey::P256([4; 65]))),
        Answer::Busy { why: "others".to_owned(), retry_after: 1 },
        Answer::Away { why: "unplugged".to_owned(), retry_after: 8 },
        Answer::Failed(String::new()),
    ]
}

#[test]
fn every_message_comes_back_with_its_id() {
    for ask in asks() {
        assert_eq!(Ask::parse(&ask.to_packet(AskId(77))), Ok((AskId(77), ask)));
    }
    for answer in answers() {
        let packet = answer.to_packet(AskId(u64::MAX));
        assert!(packet.len() <= PACKET_MAX);
        assert_eq!(Answer::parse(&packet), Ok((AskId(u64::MAX), answer)));
    }
}

#[test]
fn a_question_is_no_answer_and_an_answer_no_question() {
    for ask in asks() {
        assert!(Answer::parse(&ask.to_packet(AskId(1))).is_err(), "{ask:?}");
    }
    for answer in answers() {
        assert!(Ask::parse(&answer.to_packet(AskId(1))).is_err(), "{answer:?}");
    }
}

#[test]
fn a_cut_packet_is_none() {
    for ask in asks() {
        let packet = ask.to_packet(AskId(1));
        assert!((0..packet.len()).all(|end| Ask::parse(&packet[..end]).is_err()), "{ask:?}");
    }
    for answer in answers().into_iter().filter(|answer| !has_text(answer)) {
        let packet = answer.to_packet(AskId(1));
        assert!((0..packet.len()).all(|end| Answer::parse(&packet[..end]).is_err()), "{answer:?}");
    }
}

fn has_text(answer: &Answer) -> bool {
    matches!(answer, Answer::Busy { .. } | Answer::Away { .. } | Answer::Failed(_))
}

#[test]
fn a_failure_that_names_a_time_is_refused() {
    let mut packet = Answer::Failed("broken".to_owned()).to_packet(AskId(1));
    assert!(Answer::parse(&packet).is_ok());
    packet[13] = 1;
    assert!(Answer::parse(&packet).is_err());
}

#[test]
fn octets_after_the_end_are_refused() {
    for ask in asks() {
        assert!(Ask::parse(&[ask.to_packet(AskId(1)).as_slice(), &[0]].concat()).is_err(), "{ask:?}");
    }
    for answer in answers().into_iter().filter(|answer| !has_text(answer)) {
        assert!(
            Answer::parse(&[answer.to_packet(AskId(1)).as_slice(), &[0]].concat()).is_err(),
            "{answer:?}"
        );
    }
}

#[test]
fn another_version_or_length_is_refused() {
    let mut packet = asks()[1].to_packet(AskId(1));
    packet[0] = 2;
    assert_eq!(Ask::parse(&packet), Err(MessageError("it is of another version")));
    assert_eq!(Answer::parse(&[1; PACKET_MAX + 1]), Err(MessageError("it is too long")));
}

#[test]
fn keys_and_lengths_that_are_none_are_refused() {
    let good = asks()[0].to_packet(AskId(1));
    // Not a point: the onion's key, the certified key; a period length of 0 and one past the largest.
    for (at, octets) in [(10, [0x02; 32].as_slice()), (54, &[0x02; 32]), (50, &[0; 4]), (50, &[0xff; 4])] {
        let mut bad = good.clone();
        bad[at..at + octets.len()].copy_from_slice(octets);
        assert!(Ask::parse(&bad).is_err(), "at {at}");
    }
}

#[test]
fn a_long_reason_is_cut_between_characters() {
    let why = format!("a{}", "\u{e4}".repeat(400));
    let packet = Answer::Away { why: why.clone(), retry_after: 3 }.to_packet(AskId(2));
    let Ok((_id, Answer::Away { why: cut, retry_after: 3 })) = Answer::parse(&packet) else { panic!("lost") };
    assert!(why.starts_with(&cut) && cut.len() == 511, "{}", cut.len());
    let long = [&packet[..14], &[b'x'; TEXT_MAX + 1]].concat();
    assert_eq!(Answer::parse(&long), Err(MessageError("its reason is too long")));
    assert!(Answer::parse(&[&packet[..14], &[0xff]].concat()).is_err());
}

proptest! {
    #[test]
    fn no_octets_stop_the_reader_and_what_is_read_is_written_the_same(packet in prop::collection::vec(any::<u8>(), 0..200), kind in 0_u8..18) {
        let mut packet = packet;
        if let Some(head) = packet.first_chunk_mut() {
            *head = [VERSION, kind];
        }
        if let Ok((id, ask)) = Ask::parse(&packet) {
            prop_assert_eq!(ask.to_packet(id), packet.clone());
        }
        // The four octets before a failure's reason say nothing, and are written as zero.
        if let Ok((id, answer)) = Answer::parse(&packet) && kind != 16 {
            prop_assert_eq!(answer.to_packet(id), packet);
        }
    }
}
