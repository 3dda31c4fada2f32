//! Large values, kept beside the segments so that replies can hold on to them.

use bytes::Bytes;

/// What an allocation and its place in the table take beside the value, bytes.
const OVERHEAD_BYTES: usize = 64;

/// What a value of so many bytes takes: allocators round up to a sixteenth or so of the next power of two.
pub(super) fn cost(value_bytes: usize) -> usize {
    let step = (value_bytes.next_power_of_two() / 16).max(16);
    value_bytes.next_multiple_of(step) + OVERHEAD_BYTES
}

/// Large values by number.
#[derive(Debug, Default)]
pub(super) struct LargeValues {
    values: Vec<Bytes>,
    free: Vec<u32>,
}

impl LargeValues {
    /// Keeps `value` and returns its number.
    pub(super) fn add(&mut self, value: Bytes) -> u32 {
        if let Some(number) = self.free.pop()
            && let Some(place) = self.values.get_mut(number as usize)
        {
            *place = value;
            return number;
        }
        self.values.push(value);
        (self.values.len() - 1) as u32
    }

    /// The value of this number.
    pub(super) fn get(&self, number: u32) -> Option<&Bytes> {
        self.values.get(number as usize)
    }

    /// What the value of this number takes, bytes.
    pub(super) fn cost(&self, number: u32) -> usize {
        self.get(number).map_or(0, |value| cost(value.len()))
    }

    /// Lets a value go; replies that hold it keep it alive. Returns what it took, bytes.
    pub(super) fn remove(&mut self, number: u32) -> usize {
        let Some(place) = self.values.get_mut(number as usize) else { return 0 };
        let value = std::mem::take(place);
        self.free.push(number);
        cost(value.len())
    }

    /// What the tables take, bytes.
    pub(super) fn table_bytes(&self) -> usize {
        self.values.capacity() * size_of::<Bytes>() + self.free.capacity() * size_of::<u32>()
    }
}
