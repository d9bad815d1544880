//! The lines of one layer by keyword: once, at most once, several times. Errors get their place here.

use super::error::{DescriptorError, Fault, Layer};
use crate::netdoc::{Item, Items, base64_array};
use core::str::FromStr;

/// The items of a layer, or of one introduction point in it.
#[derive(Debug)]
pub(super) struct Table<'t> {
    /// Which layer.
    layer: Layer,
    /// Its items in order.
    items: Vec<Item<'t>>,
}

/// One item with its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'t> {
    /// Which layer it stands in.
    layer: Layer,
    /// Its keyword.
    keyword: &'static str,
    /// The item.
    pub(super) item: Item<'t>,
}

impl<'t> Table<'t> {
    /// Reads all items of a text.
    pub(super) fn read(layer: Layer, text: &'t str) -> Result<Self, DescriptorError> {
        let items = Items::new(text).collect::<Result<_, _>>();
        Ok(Self { layer, items: items.map_err(|error| DescriptorError::syntax(layer, error))? })
    }

    /// Cuts the table before each item called `keyword`: (what stands before the first, the pieces).
    pub(super) fn cut_at(mut self, keyword: &str) -> (Self, Vec<Self>) {
        let mut pieces: Vec<Self> = Vec::new();
        let starts: Vec<usize> = self
            .items
            .iter()
            .enumerate()
            .filter(|(_at, item)| item.keyword == keyword)
            .map(|(at, _item)| at)
            .collect();
        for start in starts.into_iter().rev() {
            pieces.push(Self { layer: self.layer, items: self.items.split_off(start) });
        }
        pieces.reverse();
        (self, pieces)
    }

    /// Number of the first line.
    pub(super) fn first_line(&self) -> usize {
        self.items.first().map_or(1, |item| item.line)
    }

    /// The items called `keyword`.
    pub(super) fn all(&self, keyword: &'static str) -> impl Iterator<Item = Entry<'t>> {
        let layer = self.layer;
        let named = self.items.iter().filter(move |item| item.keyword == keyword);
        named.map(move |item| Entry { layer, keyword, item: *item })
    }

    /// The item called `keyword` if there is one; two are an error.
    pub(super) fn optional(&self, keyword: &'static str) -> Result<Option<Entry<'t>>, DescriptorError> {
        let mut found = self.all(keyword);
        let first = found.next();
        found.next().map_or(Ok(first), |second| Err(second.error(Fault::Duplicate)))
    }

    /// The one item called `keyword`.
    pub(super) fn required(&self, keyword: &'static str) -> Result<Entry<'t>, DescriptorError> {
        self.optional(keyword)?.ok_or(DescriptorError::new(self.layer, Some(keyword), Fault::Missing))
    }

    /// The one item called `keyword`, which must come first.
    pub(super) fn first(&self, keyword: &'static str) -> Result<Entry<'t>, DescriptorError> {
        let entry = self.required(keyword)?;
        if self.items.first() == Some(&entry.item) { Ok(entry) } else { Err(entry.error(Fault::NotFirst)) }
    }

    /// The one item called `keyword`, which must come last.
    pub(super) fn last(&self, keyword: &'static str) -> Result<Entry<'t>, DescriptorError> {
        let entry = self.required(keyword)?;
        if self.items.last() == Some(&entry.item) { Ok(entry) } else { Err(entry.error(Fault::NotLast)) }
    }

    /// The items whose keyword is not among `known`.
    pub(super) fn unknown(&self, known: &[&str]) -> impl Iterator<Item = (Layer, Item<'t>)> {
        self.items.iter().filter(move |item| !known.contains(&item.keyword)).map(|item| (self.layer, *item))
    }
}

impl Entry<'_> {
    /// An error in this line.
    pub(super) fn error(&self, fault: impl Into<Fault>) -> DescriptorError {
        DescriptorError {
            layer: self.layer,
            line: Some(self.item.line),
            keyword: Some(self.keyword),
            fault: fault.into(),
        }
    }

    /// Argument number `index` as a number without sign.
    pub(super) fn number<T: FromStr>(&self, index: usize) -> Result<T, DescriptorError> {
        let argument = self.item.arg(index).filter(|text| text.bytes().all(|octet| octet.is_ascii_digit()));
        argument.and_then(|text| text.parse().ok()).ok_or_else(|| self.error(Fault::Argument))
    }

    /// Argument number `index` as base64 of `N` octets.
    pub(super) fn octets<const N: usize>(&self, index: usize) -> Result<[u8; N], DescriptorError> {
        self.item.arg(index).and_then(base64_array).ok_or_else(|| self.error(Fault::Argument))
    }

    /// The decoded object, which must be called `label`.
    pub(super) fn object(&self, label: &str) -> Result<Vec<u8>, DescriptorError> {
        let object = self.item.object.filter(|object| object.label == label);
        object.and_then(|object| object.decode()).ok_or_else(|| self.error(Fault::Object))
    }
}
