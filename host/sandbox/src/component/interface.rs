//! The types of `guest-sdk/wit/loss.wit`, and whether an exported instance has exactly them.
//!
//! The comparison follows the contract, not the candidate: a type of the candidate's that unfolds to a million nodes
//! is left at the first node that the contract does not have.

use wasmparser::component_types::{
    ComponentDefinedType, ComponentEntityType, ComponentFuncTypeId, ComponentInstanceTypeId,
    ComponentValType,
};
use wasmparser::{PrimitiveValType, types::TypesRef};

/// A type of the contract.
enum Shape {
    F64,
    U32,
    Text,
    List(&'static Shape),
    Option(&'static Shape),
    Enum(&'static [&'static str]),
    Record(&'static [(&'static str, Shape)]),
    Result(&'static Shape, &'static Shape),
}

const NUMBERS: Shape = Shape::List(&Shape::F64);
const COUNTS: Shape = Shape::List(&Shape::U32);

const PAIRS: Shape = Shape::Record(&[
    ("policy-chosen-logps", NUMBERS),
    ("policy-rejected-logps", NUMBERS),
    ("reference-chosen-logps", NUMBERS),
    ("reference-rejected-logps", NUMBERS),
    ("chosen-tokens", COUNTS),
    ("rejected-tokens", COUNTS),
]);

const GRADIENTS: Shape =
    Shape::Record(&[("losses", NUMBERS), ("policy-chosen", NUMBERS), ("policy-rejected", NUMBERS)]);

const HYPERPARAMETER: Shape = Shape::Record(&[
    ("name", Shape::Text),
    ("default", Shape::F64),
    ("minimum", Shape::F64),
    ("maximum", Shape::F64),
]);

const SCOPE: Shape = Shape::Enum(&["pair", "batch"]);

const METADATA: Shape = Shape::Record(&[
    ("name", Shape::Text),
    ("summary", Shape::Text),
    ("citation", Shape::Option(&Shape::Text)),
    ("scope", SCOPE),
    ("hyperparameters", Shape::List(&HYPERPARAMETER)),
]);

/// Names of the types that the interface exports beside its functions.
const TYPES: &[&str] = &["pairs", "gradients", "hyperparameter", "scope", "metadata"];

struct Function {
    name: &'static str,
    params: &'static [(&'static str, Shape)],
    result: Shape,
}

const FUNCTIONS: &[Function] = &[
    Function { name: "describe", params: &[], result: METADATA },
    Function {
        name: "evaluate",
        params: &[("pairs", PAIRS), ("hyperparameters", NUMBERS)],
        result: Shape::Result(&GRADIENTS, &Shape::Text),
    },
];

/// What keeps the export called `name` from being the contract's interface; `None` where nothing does.
pub(super) fn difference(types: TypesRef<'_>, name: &str) -> Option<String> {
    match types.component_item_for_export(name)?.ty {
        ComponentEntityType::Instance(id) => difference_of_instance(types, id),
        _ => Some(format!("{name:?} is not an interface")),
    }
}

fn difference_of_instance(types: TypesRef<'_>, id: ComponentInstanceTypeId) -> Option<String> {
    let exports = &types[id].exports;
    for (name, item) in exports.iter() {
        let known = match item.ty {
            ComponentEntityType::Func(_) => FUNCTIONS.iter().any(|function| function.name == name),
            ComponentEntityType::Type { .. } => TYPES.contains(&name.as_str()),
            _ => false,
        };
        if !known {
            let name = super::survey::shown(name);
            return Some(format!("the interface has {name:?}, which is not in it"));
        }
    }
    FUNCTIONS.iter().find_map(|function| {
        let name = function.name;
        match exports.get(name).map(|item| item.ty) {
            Some(ComponentEntityType::Func(id)) if is_function(types, id, function) => None,
            Some(_) => Some(format!("{name} has other types than in loss.wit")),
            None => Some(format!("the interface has no {name}")),
        }
    })
}

fn is_function(types: TypesRef<'_>, id: ComponentFuncTypeId, expected: &Function) -> bool {
    let function = &types[id];
    let params = function.params.iter().map(|(name, ty)| (name.as_str(), ty));
    !function.async_
        && are(types, params, expected.params)
        && function.result.is_some_and(|result| is(types, result, &expected.result))
}

fn are<'a>(
    types: TypesRef<'_>,
    fields: impl ExactSizeIterator<Item = (&'a str, &'a ComponentValType)>,
    expected: &[(&str, Shape)],
) -> bool {
    fields.len() == expected.len()
        && fields
            .zip(expected)
            .all(|((name, ty), (expected, shape))| name == *expected && is(types, *ty, shape))
}

fn is(types: TypesRef<'_>, ty: ComponentValType, shape: &Shape) -> bool {
    let id = match ty {
        ComponentValType::Primitive(primitive) => return is_primitive(primitive, shape),
        ComponentValType::Type(id) => id,
    };
    match (&types[id], shape) {
        (ComponentDefinedType::Primitive(primitive), shape) => is_primitive(*primitive, shape),
        (ComponentDefinedType::List { element, .. }, Shape::List(shape)) => {
            is(types, *element, shape)
        }
        (ComponentDefinedType::Option { ty, .. }, Shape::Option(shape)) => is(types, *ty, shape),
        (ComponentDefinedType::Enum(cases), Shape::Enum(expected)) => {
            cases.len() == expected.len()
                && cases.iter().zip(*expected).all(|(case, expected)| case.as_str() == *expected)
        }
        (ComponentDefinedType::Record(record), Shape::Record(expected)) => {
            let fields = record.fields.iter();
            are(types, fields.map(|(name, ty)| (name.as_str(), ty)), expected)
        }
        (
            ComponentDefinedType::Result { ok: Some(ok), err: Some(err), .. },
            Shape::Result(ok_shape, err_shape),
        ) => is(types, *ok, ok_shape) && is(types, *err, err_shape),
        _ => false,
    }
}

fn is_primitive(primitive: PrimitiveValType, shape: &Shape) -> bool {
    matches!(
        (primitive, shape),
        (PrimitiveValType::F64, Shape::F64)
            | (PrimitiveValType::U32, Shape::U32)
            | (PrimitiveValType::String, Shape::Text)
    )
}
