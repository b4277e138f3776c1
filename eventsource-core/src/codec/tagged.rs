//! Reads an event whose enum tag is given beside its payload.

use serde::{
    Deserialize, Deserializer, de,
    de::{DeserializeSeed, EnumAccess, IgnoredAny, VariantAccess, Visitor, value::StrDeserializer},
    forward_to_deserialize_any,
};
use serde_json::{Error, de::SliceRead};

/// The event called `name` with these fields.
pub(super) fn read<'de, T: Deserialize<'de>>(name: &'de str, payload: &'de [u8]) -> Result<T, Error> {
    let mut json = serde_json::Deserializer::from_slice(payload);
    let event = T::deserialize(Tagged { json: &mut json, name })?;
    json.end()?;
    Ok(event)
}

/// Shows an enum the name as its tag and the payload as its content; anything else the payload.
struct Tagged<'a, 'de> {
    json: &'a mut serde_json::Deserializer<SliceRead<'de>>,
    name: &'de str,
}

macro_rules! forward_to_json {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.json.$method(visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for Tagged<'_, 'de> {
    type Error = Error;

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.json.deserialize_struct(name, fields, visitor)
    }

    forward_to_json! { deserialize_any deserialize_option }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

impl<'de> EnumAccess<'de> for Tagged<'_, 'de> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Error> {
        let tag: StrDeserializer<'_, Error> = de::IntoDeserializer::into_deserializer(self.name);
        Ok((seed.deserialize(tag)?, self))
    }
}

impl<'de> VariantAccess<'de> for Tagged<'_, 'de> {
    type Error = Error;

    /// Fields that a newer schema added are passed over.
    fn unit_variant(self) -> Result<(), Error> {
        IgnoredAny::deserialize(self.json).map(|IgnoredAny| ())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Error> {
        seed.deserialize(self.json)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        self.json.deserialize_tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        self.json.deserialize_struct("", fields, visitor)
    }
}
