//! As much of Prometheus' language as the dashboard and the rules use: reads an expression and says what is wrong with it.

use super::{Kind, Metric};
use std::collections::BTreeSet;

/// Functions with the number of their arguments.
const FUNCTIONS: [(&str, usize); 8] = [
    ("time", 0),
    ("absent", 1),
    ("changes", 1),
    ("rate", 1),
    ("increase", 1),
    ("histogram_quantile", 2),
    ("label_values", 2),
    ("max_over_time", 1),
];
/// Functions of a range of time.
const OF_RANGES: [&str; 4] = ["changes", "rate", "increase", "max_over_time"];
/// Words that put many series together.
const AGGREGATIONS: [&str; 4] = ["sum", "min", "max", "count"];
/// Signs between two values, the longer ones first.
const SIGNS: [&str; 12] = [">=", "<=", "==", "!=", ">", "<", "+", "-", "*", "/", "and", "or"];

/// What is left to be read.
struct Reader<'a> {
    left: &'a str,
    /// The labels of what was read last.
    labels: BTreeSet<&'a str>,
}

/// Whether an expression can be read to its end.
pub(super) fn read(expression: &str) -> Result<(), String> {
    let mut reader = Reader { left: expression, labels: BTreeSet::new() };
    let read = reader.expression().and_then(|()| {
        if reader.left.trim().is_empty() { Ok(()) } else { Err("something is left".to_owned()) }
    });
    read.map_err(|what| format!("{what} before {:?} in {expression:?}", reader.left))
}

impl<'a> Reader<'a> {
    /// Takes a sign if it is next.
    fn take(&mut self, sign: &str) -> bool {
        self.left = self.left.trim_start();
        let rest = self.left.strip_prefix(sign);
        self.left = rest.unwrap_or(self.left);
        rest.is_some()
    }

    fn want(&mut self, sign: &str) -> Result<(), String> {
        if self.take(sign) { Ok(()) } else { Err(format!("no {sign:?}")) }
    }

    /// Takes a word; empty if none is next.
    fn word(&mut self) -> &'a str {
        self.left = self.left.trim_start();
        let end =
            self.left.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_' && letter != '.');
        let (word, rest) = self.left.split_at(end.unwrap_or(self.left.len()));
        self.left = rest;
        word
    }

    fn expression(&mut self) -> Result<(), String> {
        self.value()?;
        while SIGNS.iter().any(|sign| self.take(sign)) {
            self.value()?;
        }
        Ok(())
    }

    fn value(&mut self) -> Result<(), String> {
        if self.take("(") {
            self.expression()?;
            return self.want(")");
        }
        let word = self.word();
        if word.parse::<f64>().is_ok() {
            return Ok(());
        }
        if AGGREGATIONS.contains(&word) {
            return self.aggregation();
        }
        if let Some((name, count)) = FUNCTIONS.iter().find(|(name, _)| *name == word) {
            return self.function(name, *count);
        }
        self.metric(word)
    }

    /// `by (label, ...) (expression)`, or without `by`.
    fn aggregation(&mut self) -> Result<(), String> {
        let mut by = Vec::new();
        if self.take("by") {
            self.want("(")?;
            loop {
                by.push(self.word());
                if !self.take(",") {
                    break;
                }
            }
            self.want(")")?;
        }
        self.want("(")?;
        self.expression()?;
        self.want(")")?;
        match by.iter().find(|label| !self.labels.contains(*label)) {
            Some(label) => Err(format!("no label {label:?}")),
            None => Ok(()),
        }
    }

    fn function(&mut self, name: &str, count: usize) -> Result<(), String> {
        self.want("(")?;
        for at in 0..count {
            if at > 0 {
                self.want(",")?;
            }
            if name == "label_values" && at == 1 {
                let label = self.word();
                self.labels.get(label).ok_or_else(|| format!("no label {label:?}"))?;
            } else {
                self.expression()?;
            }
        }
        if OF_RANGES.contains(&name) {
            self.want("]")?;
        }
        self.want(")")
    }

    /// The rest of a metric's selector; the bracket at the end of a range is left for the function.
    fn metric(&mut self, name: &str) -> Result<(), String> {
        let bare = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        let fits = |metric: &&Metric| {
            let own = metric.sample_name();
            own == name || bare == Some(own.as_str()) && metric.kind == Kind::Histogram
        };
        let metric = Metric::all().iter().find(fits).ok_or_else(|| format!("no metric {name:?}"))?;
        self.labels = metric.labels.iter().copied().collect();
        if name.ends_with("_bucket") {
            self.labels.insert("le");
        }
        if self.take("{") {
            loop {
                let label = self.word();
                self.labels.get(label).ok_or_else(|| format!("no label {label:?}"))?;
                if !["=~", "!~", "!=", "="].iter().any(|sign| self.take(sign)) {
                    return Err("no sign of a label".to_owned());
                }
                self.want("\"")?;
                let (_text, rest) = self.left.split_once('"').ok_or("no end of a text")?;
                self.left = rest;
                if !self.take(",") {
                    break;
                }
            }
            self.want("}")?;
        }
        if self.take("[") {
            let range = self.word();
            let (number, unit) = range.split_at(range.len().saturating_sub(1));
            if number.parse::<u32>().is_err() || !["s", "m", "h", "d"].contains(&unit) {
                return Err(format!("no length of time {range:?}"));
            }
            if !self.left.starts_with(']') {
                return Err("no end of a range".to_owned());
            }
        }
        Ok(())
    }
}

#[test]
fn what_can_be_read_is_read_and_nothing_else() {
    for good in [
        "sum by (service, result) (rate(onionkeep_uploads_total{service=~\"$service\"}[10m])) * 3600",
        "histogram_quantile(0.5, sum by (le) (rate(onionkeep_signer_seconds_bucket[1h])))",
        "time() - max(onionkeep_start_timestamp_seconds)",
        "onionkeep_backend_share_ppm{service=~\"a\",backend=\"b\"} / 1e6 > 0",
    ] {
        assert_eq!(read(good), Ok(()));
    }
    for bad in [
        "",
        "onionkeep_nothing",
        "onionkeep_uploads",
        "onionkeep_alarms_bucket",
        "onionkeep_alarms{backend=\"x\"}",
        "sum by (backend) (onionkeep_alarms)",
        "sum(onionkeep_alarms",
        "sum(onionkeep_alarms))",
        "rate(onionkeep_uploads_total)",
        "rate(onionkeep_uploads_total[10])",
        "onionkeep_uploads_total[10m]",
        "onionkeep_alarms{alarm=\"x}",
        "summ(onionkeep_alarms)",
        "onionkeep_alarms >",
        "time(1)",
    ] {
        assert!(read(bad).is_err(), "{bad}");
    }
}
