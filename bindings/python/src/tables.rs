//! `Table`: rows for pandas, polars, pyarrow, DuckDB and whatever else reads Arrow.

use std::sync::Arc;

use arrow_array::ffi::to_ffi;
use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchIterator, StructArray};
use arrow_schema::ffi::FFI_ArrowSchema;
use arrow_schema::{ArrowError, DataType, Field};
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyTuple};

use crate::errors::raise;

/// Rows and columns in memory, by the interface of Arrow: pandas.DataFrame.from_arrow(table), polars.DataFrame(table),
/// pyarrow.table(table), or FROM table in DuckDB.
#[pyclass(frozen, module = "demeanor")]
pub struct Table {
    batch: RecordBatch,
}

impl Table {
    /// A table of columns.
    pub fn new(py: Python<'_>, columns: Vec<(Field, ArrayRef)>) -> PyResult<Table> {
        let (fields, arrays): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
        let schema = Arc::new(arrow_schema::Schema::new(fields));
        let batch = RecordBatch::try_new(schema, arrays).map_err(|e| failed(py, &e))?;
        Ok(Table { batch })
    }
}

/// The exception for what Arrow refuses.
fn failed(py: Python<'_>, error: &ArrowError) -> PyErr {
    raise(py, "DataError", format!("the table cannot be made: {error}"))
}

#[pymethods]
impl Table {
    /// How many rows there are.
    fn __len__(&self) -> usize {
        self.batch.num_rows()
    }

    /// The names of the columns, in order.
    #[getter]
    fn column_names(&self) -> Vec<String> {
        self.batch.schema().fields().iter().map(|field| field.name().clone()).collect()
    }

    fn __repr__(&self) -> String {
        format!("Table({} rows, {} columns)", self.batch.num_rows(), self.batch.num_columns())
    }

    /// The rows as a stream of Arrow, for the library that asks for it. Another schema than the table's own may be wished for,
    /// and is not given, as the interface allows.
    #[pyo3(signature = (requested_schema=None))]
    pub fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        // pyo3-arrow would cast to any type, which doubles the size of the package
        let _ = requested_schema;
        let rows = RecordBatchIterator::new([Ok(self.batch.clone())], self.batch.schema());
        PyCapsule::new_with_value(py, FFI_ArrowArrayStream::new(Box::new(rows)), c"arrow_array_stream")
    }

    /// The rows as one array of Arrow.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let _ = requested_schema;
        let array = StructArray::from(self.batch.clone());
        let (array, schema) = to_ffi(&array.to_data()).map_err(|e| failed(py, &e))?;
        let schema = PyCapsule::new_with_value(py, schema, c"arrow_schema")?;
        PyTuple::new(py, [schema, PyCapsule::new_with_value(py, array, c"arrow_array")?])
    }

    /// The names and types of the columns.
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        let schema = FFI_ArrowSchema::try_from(self.batch.schema().as_ref()).map_err(|e| failed(py, &e))?;
        PyCapsule::new_with_value(py, schema, c"arrow_schema")
    }
}

/// A column that may be empty in some rows.
pub fn column(name: &str, values: impl Array + 'static) -> (Field, ArrayRef) {
    let kind: DataType = values.data_type().clone();
    (Field::new(name, kind, true), Arc::new(values))
}
