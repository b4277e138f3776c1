//! Writes an event's fields without its enum tag.

use serde::{Serialize, Serializer, ser};
use serde_json::Error;

/// Appends the payload of `value` to `out`; a variant must be called `name`.
pub(super) fn write<T: Serialize>(out: &mut Vec<u8>, name: &'static str, value: &T) -> Result<(), Error> {
    let mut json = serde_json::Serializer::new(out);
    value.serialize(Untagged { json: &mut json, name })
}

/// A serializer that takes the outermost enum's tag off; everything below is plain JSON.
struct Untagged<'a, 'b> {
    json: &'b mut serde_json::Serializer<&'a mut Vec<u8>>,
    name: &'static str,
}

impl Untagged<'_, '_> {
    fn check(&self, variant: &str) -> Result<(), Error> {
        if variant == self.name {
            return Ok(());
        }
        Err(ser::Error::custom(format_args!("its serde variant is called `{variant}`, rename it to `{}`", self.name)))
    }
}

macro_rules! forward {
    ($($method:ident: $type:ty),* $(,)?) => {
        $(fn $method(self, value: $type) -> Result<(), Error> {
            self.json.$method(value)
        })*
    };
}

type Compound<'a, 'b> = serde_json::ser::Compound<'b, &'a mut Vec<u8>, serde_json::ser::CompactFormatter>;

impl<'a, 'b> Serializer for Untagged<'a, 'b> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Compound<'a, 'b>;
    type SerializeTuple = Compound<'a, 'b>;
    type SerializeTupleStruct = Compound<'a, 'b>;
    type SerializeTupleVariant = Fields<'a, 'b>;
    type SerializeMap = Compound<'a, 'b>;
    type SerializeStruct = Compound<'a, 'b>;
    type SerializeStructVariant = Fields<'a, 'b>;

    forward! {
        serialize_bool: bool,
        serialize_i8: i8,
        serialize_i16: i16,
        serialize_i32: i32,
        serialize_i64: i64,
        serialize_i128: i128,
        serialize_u8: u8,
        serialize_u16: u16,
        serialize_u32: u32,
        serialize_u64: u64,
        serialize_u128: u128,
        serialize_f32: f32,
        serialize_f64: f64,
        serialize_char: char,
        serialize_str: &str,
        serialize_bytes: &[u8],
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.json.serialize_none()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        self.json.serialize_some(value)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        self.json.serialize_unit()
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result<(), Error> {
        self.json.serialize_unit_struct(name)
    }

    /// An object without fields, so that a later schema can add some.
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Error> {
        self.check(variant)?;
        ser::SerializeMap::end(self.json.serialize_map(Some(0))?)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Result<(), Error> {
        self.json.serialize_newtype_struct(name, value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.check(variant)?;
        value.serialize(self.json)
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Self::SerializeSeq, Error> {
        self.json.serialize_seq(len)
    }

    fn serialize_tuple(self, len: usize) -> Result<Self::SerializeTuple, Error> {
        self.json.serialize_tuple(len)
    }

    fn serialize_tuple_struct(self, name: &'static str, len: usize) -> Result<Self::SerializeTupleStruct, Error> {
        self.json.serialize_tuple_struct(name, len)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleVariant, Error> {
        self.check(variant)?;
        self.json.serialize_tuple(len).map(Fields)
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Self::SerializeMap, Error> {
        self.json.serialize_map(len)
    }

    fn serialize_struct(self, name: &'static str, len: usize) -> Result<Self::SerializeStruct, Error> {
        self.json.serialize_struct(name, len)
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStructVariant, Error> {
        self.check(variant)?;
        self.json.serialize_struct(name, len).map(Fields)
    }
}

/// The fields of a variant, written as those of a tuple or a struct.
struct Fields<'a, 'b>(Compound<'a, 'b>);

impl ser::SerializeTupleVariant for Fields<'_, '_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        ser::SerializeTuple::serialize_element(&mut self.0, value)
    }

    fn end(self) -> Result<(), Error> {
        ser::SerializeTuple::end(self.0)
    }
}

impl ser::SerializeStructVariant for Fields<'_, '_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Error> {
        ser::SerializeStruct::serialize_field(&mut self.0, key, value)
    }

    fn skip_field(&mut self, key: &'static str) -> Result<(), Error> {
        ser::SerializeStruct::skip_field(&mut self.0, key)
    }

    fn end(self) -> Result<(), Error> {
        ser::SerializeStruct::end(self.0)
    }
}
