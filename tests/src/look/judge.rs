//! The classifier that tries to tell two kinds of samples apart, and how far it can be believed.
//!
//! Samples of one service are one block: a block is never split between training and test, and the interval comes from
//! drawing whole blocks again. An area under the curve of 0.5 is chance, 1 is certainty; below 0.5 is chance too, because
//! what a fold learned from the others' noise is wrong for its own.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context, Result, ensure};
use smartcore::ensemble::random_forest_regressor::{RandomForestRegressor, RandomForestRegressorParameters};
use smartcore::linalg::basic::matrix::DenseMatrix;

use crate::assurance::dice::Dice;

/// Blocks are dealt into so many folds.
const FOLDS: usize = 10;
/// Trees of one forest: their mean vote is the score.
const TREES: usize = 120;
/// A tree stops before it learns single samples by heart.
const LEAF: usize = 3;
/// How often the blocks are drawn again for the interval.
const DRAWS: usize = 2000;

/// What was seen of one service, as numbers under names.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Which service: samples of one are not independent.
    pub block: String,
    /// Name and value.
    pub features: Vec<(&'static str, f64)>,
}

/// How well the two kinds could be told apart.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Area under the curve, over all folds.
    pub auc: f64,
    /// From here to there in 95 of 100 draws of the blocks.
    pub interval: (f64, f64),
    /// Samples and blocks of the first kind.
    pub first: (usize, usize),
    /// Samples and blocks of the second kind.
    pub second: (usize, usize),
    /// The features that separate best by themselves: name, area under the curve (turned to be at least 0.5).
    pub loudest: Vec<(&'static str, f64)>,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = self.interval;
        write!(f, "AUC {:.3} (95 % {low:.3} to {high:.3})", self.auc)?;
        write!(f, ", {} samples of {} services", self.first.0, self.first.1)?;
        write!(f, " against {} of {}; by itself", self.second.0, self.second.1)?;
        self.loudest.iter().try_for_each(|(name, auc)| write!(f, " {name} {auc:.2}"))
    }
}

/// One sample with what the forest makes of it.
struct Scored<'a> {
    /// Its service.
    block: &'a str,
    /// Whether it is of the second kind.
    second: bool,
    /// The forest's vote, trained without its block.
    score: f64,
}

/// Trains on all folds but one, judges that one, and so on; `seed` deals the blocks.
pub fn tell_apart(first: &[Sample], second: &[Sample], seed: u64) -> Result<Verdict> {
    let names: Vec<_> =
        first.first().context("no samples")?.features.iter().map(|(name, _value)| *name).collect();
    let all = || first.iter().map(|sample| (sample, false)).chain(second.iter().map(|sample| (sample, true)));
    ensure!(
        all().all(|(sample, _kind)| sample
            .features
            .iter()
            .map(|(name, _value)| *name)
            .eq(names.iter().copied())),
        "samples with different features"
    );
    let mut dice = Dice::new(usize::try_from(seed)?);
    let folds = deal(&mut dice, first).into_iter().chain(deal(&mut dice, second)).collect::<BTreeMap<_, _>>();
    let mut scored = Vec::new();
    for fold in 0..FOLDS {
        let is_test = |sample: &Sample| folds.get(sample.block.as_str()) == Some(&fold);
        let (test, train): (Vec<_>, Vec<_>) = all().partition(|(sample, _kind)| is_test(sample));
        if test.is_empty() {
            continue;
        }
        let scores = grow(&train, seed)?.predict(&matrix(&test)?)?;
        let score =
            |((sample, second), score): (&(&'_ Sample, bool), f64)| (sample.block.clone(), *second, score);
        scored.extend(test.iter().zip(scores).map(score));
    }
    let scored: Vec<_> = scored
        .iter()
        .map(|(block, second, score)| Scored { block, second: *second, score: *score })
        .collect();
    Ok(Verdict {
        auc: area(&scored.iter().map(|one| (one.second, one.score)).collect::<Vec<_>>()),
        interval: interval(&scored, &mut dice),
        first: (first.len(), blocks(first).len()),
        second: (second.len(), blocks(second).len()),
        loudest: loudest(&names, &all().collect::<Vec<_>>()),
    })
}

/// The blocks of some samples, each once.
fn blocks(samples: &[Sample]) -> Vec<&str> {
    let mut blocks: Vec<_> = samples.iter().map(|sample| sample.block.as_str()).collect();
    blocks.sort_unstable();
    blocks.dedup();
    blocks
}

/// Deals the blocks of one kind into folds, so that each fold has of both kinds.
fn deal<'a>(dice: &mut Dice, samples: &'a [Sample]) -> Vec<(&'a str, usize)> {
    let mut left = blocks(samples);
    let mut dealt = Vec::new();
    while !left.is_empty() {
        let block = left.swap_remove(dice.below(left.len()));
        dealt.push((block, dealt.len() % FOLDS));
    }
    dealt
}

/// The samples as a matrix.
fn matrix(samples: &[(&Sample, bool)]) -> Result<DenseMatrix<f64>> {
    let row =
        |(sample, _kind): &(&Sample, bool)| sample.features.iter().map(|(_name, value)| *value).collect();
    Ok(DenseMatrix::from_2d_vec(&samples.iter().map(row).collect::<Vec<Vec<f64>>>())?)
}

/// A trained forest.
type Forest = RandomForestRegressor<f64, f64, DenseMatrix<f64>, Vec<f64>>;

/// Trains a forest to answer 0 for the first and 1 for the second kind.
fn grow(train: &[(&Sample, bool)], seed: u64) -> Result<Forest> {
    let kinds: Vec<f64> = train.iter().map(|(_sample, second)| f64::from(u8::from(*second))).collect();
    let parameters = RandomForestRegressorParameters::default()
        .with_n_trees(TREES)
        .with_min_samples_leaf(LEAF)
        .with_min_samples_split(2 * LEAF)
        .with_seed(seed);
    Ok(RandomForestRegressor::fit(&matrix(train)?, &kinds, parameters)?)
}

/// The chance that one of the second kind scores higher than one of the first; equal scores count half.
fn area(scored: &[(bool, f64)]) -> f64 {
    let mut scored = scored.to_vec();
    scored.sort_by(|a, b| a.1.total_cmp(&b.1));
    let (mut below, mut wins) = (0.0, 0.0);
    for group in scored.chunk_by(|a, b| a.1 == b.1) {
        let seconds = count(group, true);
        wins += seconds * (below + count(group, false) / 2.0);
        below += count(group, false);
    }
    let pairs = count(&scored, true) * count(&scored, false);
    if pairs == 0.0 { 0.5 } else { wins / pairs }
}

/// How many are of a kind.
fn count(scored: &[(bool, f64)], second: bool) -> f64 {
    scored.iter().filter(|(kind, _score)| *kind == second).fold(0.0, |sum, _one| sum + 1.0)
}

/// Draws the blocks of each kind again and again, with all their samples.
fn interval(scored: &[Scored<'_>], dice: &mut Dice) -> (f64, f64) {
    let mut kinds = [BTreeMap::<&str, Vec<f64>>::new(), BTreeMap::new()];
    for one in scored {
        kinds[usize::from(one.second)].entry(one.block).or_default().push(one.score);
    }
    let kinds = kinds.map(|kind| kind.into_values().collect::<Vec<_>>());
    let mut areas = Vec::new();
    for _draw in 0..DRAWS {
        let mut drawn = Vec::new();
        for (second, blocks) in [false, true].into_iter().zip(&kinds) {
            for _block in blocks {
                let block = &blocks[dice.below(blocks.len())];
                drawn.extend(block.iter().map(|score| (second, *score)));
            }
        }
        areas.push(area(&drawn));
    }
    areas.sort_by(f64::total_cmp);
    (areas[DRAWS / 40], areas[DRAWS - 1 - DRAWS / 40])
}

/// The features that separate best, each by itself.
fn loudest(names: &[&'static str], all: &[(&Sample, bool)]) -> Vec<(&'static str, f64)> {
    let alone = |(at, name): (usize, &&'static str)| {
        let auc =
            area(&all.iter().map(|(sample, second)| (*second, sample.features[at].1)).collect::<Vec<_>>());
        (*name, auc.max(1.0 - auc))
    };
    let mut found: Vec<_> = names.iter().enumerate().map(alone).collect();
    found.sort_by(|a, b| b.1.total_cmp(&a.1));
    found.truncate(3);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many services with some samples each: noise, and a second feature that is `shift` higher.
    fn samples(name: &str, count: usize, shift: f64, dice: &mut Dice) -> Vec<Sample> {
        let value = |dice: &mut Dice| f64::from(u16::try_from(dice.below(1000)).unwrap()) / 1000.0;
        let mut made = Vec::new();
        for number in 0..count {
            // What is the same in all samples of a service, and so must not be learned.
            let own = value(dice);
            for _sample in 0..4 {
                let features = vec![("own", own), ("noise", value(dice)), ("told", value(dice) + shift)];
                made.push(Sample { block: format!("{name}{number}"), features });
            }
        }
        made
    }

    #[test]
    fn what_is_alike_is_not_told_apart_although_each_service_has_its_own_look() {
        let mut dice = Dice::new(5);
        let (one, two) = (samples("a", 60, 0.0, &mut dice), samples("b", 60, 0.0, &mut dice));
        let verdict = tell_apart(&one, &two, 9).unwrap();
        assert!(verdict.auc < 0.6, "{verdict}");
        assert!(verdict.interval.0 < 0.5 && verdict.interval.1 > verdict.auc, "{verdict}");
        assert_eq!(verdict.first, (240, 60));
    }

    #[test]
    fn what_differs_is_told_apart_and_named() {
        let mut dice = Dice::new(6);
        let (one, two) = (samples("a", 30, 0.0, &mut dice), samples("b", 30, 0.9, &mut dice));
        let verdict = tell_apart(&one, &two, 9).unwrap();
        assert!(verdict.auc > 0.95 && verdict.interval.0 > 0.9, "{verdict}");
        assert_eq!(verdict.loudest[0].0, "told");
    }

    #[test]
    fn the_area_counts_pairs() {
        assert_eq!(area(&[(false, 1.0), (true, 2.0), (false, 3.0), (true, 4.0)]), 0.75);
        assert_eq!(area(&[(false, 1.0), (true, 1.0)]), 0.5);
    }
}
