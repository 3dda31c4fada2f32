//! Rows of the store, copied so that nothing of a read transaction is held on to.

use crate::base::item::{Item, Value};

/// Rows copied out of a read transaction.
#[derive(Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    pub(super) rows: Vec<Row>,
}

/// Where one of them lies.
pub(super) struct Row {
    start: usize,
    key_len: usize,
    value_len: usize,
    item: Item<'static>,
}

impl Batch {
    pub(super) fn push(&mut self, key: &[u8], item: &Item<'_>) {
        let value = item.value.bytes();
        let row = Row {
            start: self.bytes.len(),
            key_len: key.len(),
            value_len: value.len(),
            item: Item { value: Value::Plain(&[]), ..*item },
        };
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
        self.rows.push(row);
    }

    /// The key and the item.
    pub(super) fn row<'a>(&'a self, row: &Row) -> (&'a [u8], Item<'a>) {
        let value_start = row.start + row.key_len;
        let key = self.bytes.get(row.start..value_start).unwrap_or_default();
        let value = self.bytes.get(value_start..value_start + row.value_len).unwrap_or_default();
        (key, Item { value: Value::Plain(value), ..row.item })
    }
}
