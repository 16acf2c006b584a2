//! Which fields of an input an operation reads, so that no other is in it.

use serde::Deserializer;
use serde::de::Visitor;
use serde::forward_to_deserialize_any;
use std::cell::RefCell;
use std::collections::BTreeSet;

/// The names of all fields that were asked for, whether they were there or not.
#[derive(Debug, Default)]
pub(crate) struct Fields(RefCell<BTreeSet<&'static str>>);

impl Fields {
    /// Reads as `from` does, and notes what the struct that is read has a place for.
    pub(crate) fn noted<D>(&self, from: D) -> Noted<'_, D> {
        Noted { from, fields: self }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.borrow().contains(name)
    }

    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.0.borrow().iter().copied().collect()
    }
}

pub(crate) struct Noted<'a, D> {
    from: D,
    fields: &'a Fields,
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Noted<'_, D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.from.deserialize_any(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.fields.0.borrow_mut().extend(fields);
        self.from.deserialize_struct(name, fields, visitor)
    }

    // An input is an object: nothing but a struct, or a map of whatever is there, is read from it.
    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
