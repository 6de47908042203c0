//! A list with stable keys: what stands below a scope.

/// Values under small integer keys that are used again once they are free,
/// so a group that runs a million children one after the other stays at the size of its widest moment.
#[derive(Debug)]
pub(super) struct Slots<T> {
    values: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Slots<T> {
    pub(super) const fn new() -> Self {
        Self {
            values: Vec::new(),
            free: Vec::new(),
        }
    }

    pub(super) fn insert(&mut self, value: T) -> u32 {
        if let Some(key) = self.free.pop() {
            self.values[key as usize] = Some(value);
            key
        } else {
            let key = u32::try_from(self.values.len()).expect("fewer than 2^32 live children");
            self.values.push(Some(value));
            key
        }
    }

    pub(super) fn remove(&mut self, key: u32) -> Option<T> {
        let value = self.values.get_mut(key as usize)?.take();
        if value.is_some() {
            if self.free.len() + 1 == self.values.len() {
                // The last one is gone: give the memory of a wide moment back.
                *self = Self::new();
            } else {
                self.free.push(key);
            }
        }
        value
    }

    pub(super) fn len(&self) -> usize {
        self.values.len() - self.free.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.values.iter().flatten()
    }
}
