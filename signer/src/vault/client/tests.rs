//! The client with a vault and a keeper played by the test: late, lost, wrong and stale answers.

use super::*;
use crate::audit_key::AuditSignature;
use crate::serve::packet::pair;
use std::sync::Arc;
use std::thread::JoinHandle;

/// The other ends.
struct Stand {
    client: Arc<VaultClient>,
    vault: OwnedFd,
    keeper: OwnedFd,
}

/// Above everything that a test waits for, the client's own patience too.
const LIMIT: Duration = Duration::from_secs(30);

/// Looks until it is so.
#[track_caller]
fn wait_for<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let deadline = deadline_in(LIMIT);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(!until(deadline).is_zero(), "{what} never came");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What the tests ask.
const ASK: Ask = Ask::SignHead { seq: 1, head: [2; 32] };

impl Stand {
    /// A client that nobody has answered yet.
    fn new() -> Self {
        let ((gate, vault), (line, keeper)) = (pair().unwrap(), pair().unwrap());
        Self { client: Arc::new(VaultClient::new(gate, line).unwrap()), vault, keeper }
    }

    /// A client with a ready vault, whose thread listens until the keeper is gone.
    fn ready() -> Self {
        let stand = Self::new();
        stand.say(0, &Answer::Starting(Generation(1)));
        stand.say(0, &Answer::Ready { generation: Generation(1), audit: None });
        assert_eq!(stand.client.wait_ready().unwrap(), None);
        stand.listen();
        stand
    }

    fn listen(&self) {
        let client = Arc::clone(&self.client);
        std::thread::spawn(move || while client.listen().is_ok() {});
    }

    fn say(&self, id: u64, answer: &Answer) {
        packet::tell(&self.vault, &answer.to_packet(AskId(id))).unwrap();
    }

    /// The next question.
    fn hear(&self) -> AskId {
        let mut buffer = [0; PACKET_MAX];
        let Heard::Packet(length) = packet::hear(&self.vault, &mut buffer, true).unwrap() else {
            panic!("gone")
        };
        Ask::parse(&buffer[..length]).unwrap().0
    }

    fn ask(&self) -> JoinHandle<Answer> {
        let client = Arc::clone(&self.client);
        std::thread::spawn(move || client.ask(ASK))
    }

    /// The next note to the keeper.
    fn note(&self) -> Note {
        wait_for("a note to the keeper", || Note::hear(&self.keeper).unwrap())
    }

    fn until(&self, stage: impl Fn(Stage) -> bool) {
        wait_for("the stage", || stage(self.client.state().stage).then_some(()));
    }
}

fn signature(octet: u8) -> Answer {
    Answer::HeadSignature(AuditSignature([octet; 64]))
}

#[test]
fn a_question_gets_its_answer() {
    let stand = Stand::ready();
    for octet in 0..3 {
        let asked = stand.ask();
        let id = stand.hear();
        stand.say(id.0, &signature(octet));
        assert_eq!(asked.join().unwrap(), signature(octet));
    }
}

#[test]
fn an_answer_with_another_id_is_dropped() {
    let stand = Stand::ready();
    let asked = stand.ask();
    let id = stand.hear();
    stand.say(id.0 + 1, &signature(1));
    stand.say(id.0 - 1, &signature(2));
    stand.say(id.0, &signature(3));
    stand.say(id.0, &signature(4));
    assert_eq!(asked.join().unwrap(), signature(3));
}

#[test]
fn only_one_question_is_with_the_vault_at_a_time() {
    let stand = Stand::ready();
    let asked = [stand.ask(), stand.ask()];
    for octet in [1, 2] {
        let id = stand.hear();
        std::thread::sleep(Duration::from_millis(50));
        let mut buffer = [0; PACKET_MAX];
        assert_eq!(packet::hear(&stand.vault, &mut buffer, false).unwrap(), Heard::Nothing);
        stand.say(id.0, &signature(octet));
    }
    assert!(asked.into_iter().all(|asked| matches!(asked.join().unwrap(), Answer::HeadSignature(_))));
}

#[test]
fn a_vault_that_ends_answers_away_at_once_and_the_next_one_is_asked() {
    let stand = Stand::ready();
    let asked = stand.ask();
    let _unanswered = stand.hear();
    Note::Ended { generation: Generation(1), retry_after: 4 }.tell(&stand.keeper).unwrap();
    assert!(matches!(asked.join().unwrap(), Answer::Away { retry_after: 1..=5, .. }));
    assert!(matches!(stand.client.ask(ASK), Answer::Away { .. }));
    // What the old one said last does not make it ready; the new one does.
    stand.say(0, &Answer::Ready { generation: Generation(1), audit: None });
    stand.say(0, &Answer::Starting(Generation(2)));
    stand.until(|stage| matches!(stage, Stage::Starting { .. }));
    assert!(matches!(stand.client.ask(ASK), Answer::Away { retry_after: RESTARTING, .. }));
    stand.say(0, &Answer::Ready { generation: Generation(2), audit: None });
    stand.until(|stage| stage == Stage::Ready);
    let asked = stand.ask();
    let id = stand.hear();
    stand.say(id.0, &signature(9));
    assert_eq!(asked.join().unwrap(), signature(9));
}

#[test]
fn a_hung_vault_is_reported_and_its_late_answer_is_nobodys() {
    let stand = Stand::ready();
    let start = Instant::now();
    let asked = stand.ask();
    let id = stand.hear();
    assert!(matches!(asked.join().unwrap(), Answer::Away { .. }));
    assert_eq!(stand.note(), Note::Kill(Generation(1)));
    assert!((PATIENCE..PATIENCE * 4).contains(&start.elapsed()), "{:?}", start.elapsed());
    stand.say(id.0, &signature(1));
    stand.say(0, &Answer::Ready { generation: Generation(2), audit: None });
    stand.until(|stage| stage == Stage::Ready);
    let asked = stand.ask();
    let next = stand.hear();
    assert!(next > id);
    stand.say(next.0, &signature(2));
    assert_eq!(asked.join().unwrap(), signature(2));
}

#[test]
fn a_vault_that_talks_nonsense_is_reported() {
    for nonsense in
        [&[0_u8; 12][..], &[1; PACKET_MAX + 1], &Ask::SignHead { seq: 0, head: [0; 32] }.to_packet(AskId(1))]
    {
        let stand = Stand::ready();
        packet::tell(&stand.vault, nonsense).unwrap();
        assert_eq!(stand.note(), Note::Kill(Generation(1)));
        assert!(matches!(stand.client.ask(ASK), Answer::Away { .. }));
    }
}

#[test]
fn a_vault_with_another_audit_key_is_reported() {
    let stand = Stand::new();
    let ready = |generation, octet| Answer::Ready {
        generation: Generation(generation),
        audit: Some(AuditKey::Ed25519([octet; 32])),
    };
    stand.say(0, &ready(1, 7));
    assert_eq!(stand.client.wait_ready().unwrap(), Some(AuditKey::Ed25519([7; 32])));
    stand.listen();
    stand.say(0, &ready(2, 8));
    assert_eq!(stand.note(), Note::Kill(Generation(2)));
    stand.say(0, &ready(3, 7));
    stand.until(|stage| stage == Stage::Ready);
}

#[test]
fn more_than_the_queue_are_told_busy_at_once() {
    let stand = Stand::ready();
    let asked: Vec<_> = (0..=QUEUE).map(|_| stand.ask()).collect();
    let id = stand.hear();
    wait_for("a full queue", || (stand.client.state().waiting >= QUEUE).then_some(()));
    assert!(matches!(stand.client.ask(ASK), Answer::Busy { .. }));
    stand.say(id.0, &signature(1));
    Note::Ended { generation: Generation(1), retry_after: 1 }.tell(&stand.keeper).unwrap();
    let answers: Vec<_> = asked.into_iter().map(|asked| asked.join().unwrap()).collect();
    assert!(answers.iter().all(|answer| matches!(answer, Answer::Away { .. } | Answer::HeadSignature(_))));
}

#[test]
fn a_keeper_that_is_gone_ends_the_listening() {
    let Stand { client, vault, keeper } = Stand::new();
    drop(keeper);
    assert!(client.wait_ready().is_err());
    drop(vault);
}
