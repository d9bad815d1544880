//! Targets for tor's line documents: items, lines that come in pieces, consensus and microdescriptors.

use onionkeep_publisher::consensus::{Consensus, ConsensusError, ConsensusReader};
use onionkeep_publisher::netdoc::{Items, LineSplitter, LineTooLong, text_of};

/// Items stand where they say; lines are the same however the text is cut.
pub fn netdoc(octets: &[u8]) -> bool {
    assert_eq!(lines(octets, octets.len().max(1)), lines(octets, 1 + octets.len() / 7));
    let Ok(text) = text_of(octets) else { return false };
    let mut end = 0;
    let mut items = Items::new(text);
    for item in items.by_ref() {
        let Ok(item) = item else { return false };
        assert!(item.offset >= end, "items overlap");
        assert!(text[item.offset..].starts_with(item.keyword));
        assert_eq!(item.line, text[..item.offset].matches('\n').count() + 1);
        assert_eq!(item.args().next(), item.arg(0));
        end = item.offset + item.keyword.len();
        if let Some(object) = item.object {
            assert!(object.line == item.line + 1 && !object.label.is_empty());
            let _unused = object.decode();
        }
    }
    true
}

/// The whole lines of a text that comes in pieces.
fn lines(octets: &[u8], piece: usize) -> (Result<(), LineTooLong>, Vec<Vec<u8>>, Option<usize>) {
    let mut splitter = LineSplitter::default();
    let mut lines = Vec::new();
    let pushed = octets.chunks(piece).try_for_each(|chunk| {
        splitter.push::<LineTooLong>(chunk, |number, line| {
            lines.push(line.to_vec());
            assert_eq!(number, lines.len());
            Ok(())
        })
    });
    (pushed, lines, splitter.unfinished())
}

/// Reads both texts in pieces.
fn in_pieces(consensus: &[u8], microdescs: &[u8], piece: usize) -> Result<Consensus, ConsensusError> {
    let mut reader = ConsensusReader::new();
    consensus.chunks(piece).try_for_each(|chunk| reader.push(chunk))?;
    let mut reader = reader.end()?;
    microdescs.chunks(piece).try_for_each(|chunk| reader.push(chunk))?;
    reader.end()
}

/// What holds for every consensus that is read; always "accepted".
fn check(consensus: &Consensus) -> bool {
    assert!(consensus.valid_after < consensus.fresh_until && consensus.fresh_until <= consensus.valid_until);
    assert!(consensus.hsdirs.len() + consensus.hsdirs_without_microdesc <= consensus.relay_count);
    assert!(consensus.hsdirs.is_sorted(), "the HSDirs are not sorted");
    assert!(consensus.run_start() <= consensus.valid_after);
    let rule = consensus.period_rule(false);
    assert!(rule.length.minutes() > 0);
    for testing in [false, true] {
        let rule = consensus.period_rule(testing);
        let period = rule.number_at(consensus.valid_after);
        assert!(rule.start(period) <= consensus.valid_after || period.0 == 0);
    }
    let _unused = consensus.check_usable(consensus.valid_after);
    true
}

/// A consensus and microdescriptors, parted by a NUL: the same however they are cut.
pub fn consensus(octets: &[u8]) -> bool {
    let at = octets.iter().position(|octet| *octet == 0).unwrap_or(octets.len());
    let (consensus, microdescs) = octets.split_at(at);
    let microdescs = microdescs.get(1..).unwrap_or_default();
    let whole = Consensus::parse(consensus, microdescs);
    assert_eq!(whole, in_pieces(consensus, microdescs, 1 + octets.len() / 5));
    whole.is_ok_and(|consensus| check(&consensus))
}

/// Microdescriptors for a consensus of C tor.
pub fn microdescs(octets: &[u8]) -> bool {
    const CONSENSUS: &[u8] = include_bytes!("../../vectors/ring_tp_to_srv_consensus.txt");
    let whole = Consensus::parse(CONSENSUS, octets);
    assert_eq!(whole, in_pieces(CONSENSUS, octets, 1 + octets.len() / 5));
    whole.is_ok_and(|consensus| check(&consensus))
}
