//! A Parquet file's rows, written out once as lines of JSON.
//!
//! Rows of a table cannot be got at one by one: a page has to be decoded from its beginning. So the columns that
//! mean something are streamed, page by page, into a file without a name in the system's folder for temporary
//! files (`TMPDIR`), which has the size of their text, and vanishes with the process. From then on a table is
//! read as JSONL is. Not here: what a row means (`row`).

use std::fs::File;
use std::io::{BufWriter, Write};
use std::sync::Arc;

use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use parquet::record::reader::RowIter;
use parquet::schema::types::Type;
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

/// The first bytes of a Parquet file, and its last.
pub(super) const MAGIC: &[u8] = b"PAR1";

/// A table, as lines.
pub(super) struct Spooled {
    /// One JSON object per line.
    pub(super) lines: File,
    /// Columns that mean nothing here.
    pub(super) ignored: Vec<String>,
}

/// Why a table was not written out.
pub(super) enum SpoolError {
    /// The table cannot be read.
    Table(ParquetError),
    /// The temporary file cannot be written.
    Temporary(std::io::Error),
}

/// Writes out the rows of a table with those of its columns that are among `columns`.
pub(super) fn spool(table: File, columns: &[&str]) -> Result<Spooled, SpoolError> {
    let reader = SerializedFileReader::new(table).map_err(SpoolError::Table)?;
    let schema = reader.metadata().file_metadata().schema();
    let (known, others): (Vec<_>, Vec<_>) =
        schema.get_fields().iter().cloned().partition(|field| columns.contains(&field.name()));
    let ignored = others.iter().map(|field| field.name().to_owned()).collect();
    let file = tempfile::tempfile().map_err(SpoolError::Temporary)?;
    let mut lines = BufWriter::with_capacity(1 << 20, file);
    if known.is_empty() {
        // A projection to nothing would give no rows; these say what each of them lacks.
        for _ in 0..reader.metadata().file_metadata().num_rows() {
            lines.write_all(b"{}\n").map_err(SpoolError::Temporary)?;
        }
    } else {
        write_rows(&reader, projection(schema.name(), known)?, &mut lines)?;
    }
    let lines = lines.into_inner().map_err(|error| SpoolError::Temporary(error.into_error()))?;
    Ok(Spooled { lines, ignored })
}

fn projection(name: &str, fields: Vec<Arc<Type>>) -> Result<Type, SpoolError> {
    Type::group_type_builder(name).with_fields(fields).build().map_err(SpoolError::Table)
}

fn write_rows(
    reader: &dyn FileReader,
    projection: Type,
    lines: &mut BufWriter<File>,
) -> Result<(), SpoolError> {
    let rows = RowIter::from_file(Some(projection), reader).map_err(SpoolError::Table)?;
    for row in rows {
        let row = row.map_err(SpoolError::Table)?;
        serde_json::to_writer(&mut *lines, &Json(&Field::Group(row)))
            .map_err(|error| SpoolError::Temporary(error.into()))?;
        lines.write_all(b"\n").map_err(SpoolError::Temporary)?;
    }
    Ok(())
}

/// A value as JSON.
struct Json<'a>(&'a Field);

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Field::Null => serializer.serialize_none(),
            Field::Bool(value) => serializer.serialize_bool(*value),
            Field::Byte(value) => serializer.serialize_i8(*value),
            Field::Short(value) => serializer.serialize_i16(*value),
            Field::Int(value) => serializer.serialize_i32(*value),
            Field::Long(value) => serializer.serialize_i64(*value),
            Field::UByte(value) => serializer.serialize_u8(*value),
            Field::UShort(value) => serializer.serialize_u16(*value),
            Field::UInt(value) => serializer.serialize_u32(*value),
            Field::ULong(value) => serializer.serialize_u64(*value),
            Field::Float(value) => serializer.serialize_f32(*value),
            Field::Double(value) => serializer.serialize_f64(*value),
            Field::Str(text) => serializer.serialize_str(text),
            // A text that the table does not call one, or else no text: a list of numbers, which no column takes.
            Field::Bytes(bytes) => match std::str::from_utf8(bytes.data()) {
                Ok(text) => serializer.serialize_str(text),
                Err(_) => serializer.serialize_bytes(bytes.data()),
            },
            Field::Group(row) => {
                let mut map = serializer.serialize_map(Some(row.len()))?;
                for (name, field) in row.get_column_iter() {
                    map.serialize_entry(name, &Json(field))?;
                }
                map.end()
            }
            Field::ListInternal(list) => {
                let mut sequence = serializer.serialize_seq(Some(list.len()))?;
                for element in list.elements() {
                    sequence.serialize_element(&Json(element))?;
                }
                sequence.end()
            }
            Field::MapInternal(map) => {
                let mut entries = serializer.serialize_map(Some(map.len()))?;
                for (key, value) in map.entries() {
                    entries.serialize_entry(&key.to_string(), &Json(value))?;
                }
                entries.end()
            }
            // Dates, times and decimals, which no column of the format has.
            other => serializer.serialize_str(&other.to_string()),
        }
    }
}
