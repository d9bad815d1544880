//! What a request asks for and what the rules say about it, as a table for people. The only place that lays it out.

use super::policy::{Facts, ISSUE_RULES, Refusal, judge};
use data_encoding::HEXLOWER;
use onionkeep_common::PeriodNumber;
use onionkeep_common::iso::Iso;
use onionkeep_common::paper::{self, Slot};

/// A request as a table, and the first rule that it breaks.
#[must_use]
pub fn request(facts: &Facts<'_>) -> (String, Option<Refusal>) {
    let (asked, digest) = (&facts.request.content, facts.request.digest);
    let mut text = format!(
        "request {} for {}\n  name    {}\n  made    {}\n  by      {} ({})\n  after   {}\n  digest  {digest}\n  words   {}\n\n",
        asked.sequence,
        asked.onion,
        asked.id,
        Iso(asked.created),
        HEXLOWER.encode(&asked.requester.0),
        paper::spoken(&asked.requester.0),
        asked.previous,
        digest.words(),
    );
    text.push_str("slot  period    uploads from          to                    key       standby   certificates  note\n");
    for (number, slot) in (1_usize..).zip(&asked.slots) {
        text.push_str(&row(facts, number, slot));
    }
    let rungs: usize = asked.slots.iter().map(|slot| asked.clockwork.rungs(slot.period)).sum();
    let standby = if asked.standby.is_empty() { 0 } else { rungs };
    text.push_str(&format!("{rungs} certificates to be signed, and {standby} for the emergency bundle\n\n"));
    let (rules, refusal) = rules(facts);
    (text + &rules, refusal)
}

/// One slot.
fn row(facts: &Facts<'_>, number: usize, slot: &Slot) -> String {
    let asked = &facts.request.content;
    let (from, to) = asked.clockwork.span(slot.period);
    let short = |slot: &Slot| {
        let hex = HEXLOWER.encode(slot.key.as_bytes());
        format!("{}..{}", hex.get(..4).unwrap_or_default(), hex.get(62..).unwrap_or_default())
    };
    let standby = asked.standby.iter().find(|standby| standby.period == slot.period);
    format!(
        "{number:>4}  {:<8}  {}  {}  {:<8}  {:<8}  {:>12}  {}\n",
        slot.period,
        Iso(from),
        Iso(to),
        short(slot),
        standby.map_or_else(|| "none".to_owned(), short),
        asked.clockwork.rungs(slot.period),
        note(facts, slot.period),
    )
    .replace(" \n", "\n")
}

/// What is to be said about a slot.
fn note(facts: &Facts<'_>, period: PeriodNumber) -> String {
    let last = facts.memory.ceremonies().last(&facts.request.content.onion).map(|last| last.request);
    let covered = last.filter(|last| period.0 < last.first.0.saturating_add(u64::from(last.count)));
    covered.map_or_else(String::new, |last| format!("overlaps bundle {}", last.sequence))
}

/// What each rule says, and the first that is broken.
fn rules(facts: &Facts<'_>) -> (String, Option<Refusal>) {
    let judged = judge(facts);
    let mut text = String::new();
    for (rule, refusal) in &judged {
        match refusal {
            None => text.push_str(&format!("  kept     {rule}\n")),
            Some(refusal) => text.push_str(&format!("  REFUSED  {rule}: {}\n", refusal.what)),
        }
    }
    ISSUE_RULES.iter().for_each(|rule| text.push_str(&format!("  later    {rule}\n")));
    let refused = judged.iter().filter(|(_rule, refusal)| refusal.is_some()).count();
    let kept = judged.len().saturating_sub(refused);
    text.push_str(&format!(
        "{kept} rules kept, {refused} broken, {} are looked at by issue\n",
        ISSUE_RULES.len()
    ));
    (text, judged.into_iter().find_map(|(_rule, refusal)| refusal))
}
