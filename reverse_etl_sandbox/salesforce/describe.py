"""Describe results, as in the REST API's sObject Describe."""

from __future__ import annotations

from typing import Any

from reverse_etl_sandbox.salesforce.schema import Field, ObjectType

_SOAP = {
    "id": "tns:ID",
    "reference": "tns:ID",
    "boolean": "xsd:boolean",
    "int": "xsd:int",
    "double": "xsd:double",
    "currency": "xsd:double",
    "percent": "xsd:double",
    "date": "xsd:date",
    "datetime": "xsd:dateTime",
    "time": "xsd:time",
}


def describe(kind: ObjectType, base: str) -> dict[str, Any]:
    """The full describe of one object."""
    return {
        **summary(kind, base),
        "fields": [_field(part) for part in kind.by_name.values()],
        "childRelationships": [],
        "recordTypeInfos": [_record_type(*each) for each in kind.record_types.items()],
        "supportedScopes": [],
    }


def summary(kind: ObjectType, base: str) -> dict[str, Any]:
    """The line of one object in the list of objects."""
    root = f"{base}/sobjects/{kind.name}"
    return {
        "name": kind.name,
        "label": kind.label,
        "labelPlural": f"{kind.label}s",
        "custom": kind.name.endswith("__c"),
        "customSetting": False,
        "createable": True,
        "updateable": True,
        "deletable": True,
        "undeletable": True,
        "queryable": True,
        "retrieveable": True,
        "searchable": True,
        "triggerable": True,
        "layoutable": True,
        "mergeable": False,
        "replicateable": True,
        "keyPrefix": kind.prefix,
        "urls": {
            "sobject": root,
            "describe": f"{root}/describe",
            "rowTemplate": f"{root}/{{ID}}",
        },
    }


def _record_type(name: str, record_id: str) -> dict[str, Any]:
    return {
        "active": True,
        "available": True,
        "defaultRecordTypeMapping": False,
        "developerName": name,
        "master": False,
        "name": name,
        "recordTypeId": record_id,
    }


def _field(part: Field) -> dict[str, Any]:
    return {
        "name": part.name,
        "label": part.label or part.name,
        "type": part.type,
        "soapType": _SOAP.get(part.type, "xsd:string"),
        "length": part.length,
        "byteLength": part.length * 3,
        "precision": part.precision if part.type != "int" else 0,
        "scale": part.scale,
        "digits": part.precision if part.type == "int" else 0,
        "nillable": not (part.required or part.type in ("boolean", "id") or _system(part)),
        "createable": part.writable,
        "updateable": part.writable,
        "defaultedOnCreate": part.type == "boolean" or _system(part),
        "defaultValue": part.default if part.type == "boolean" else None,
        "calculated": part.calculated,
        "calculatedFormula": part.default if part.calculated else None,
        "autoNumber": False,
        "externalId": part.external_id,
        "idLookup": part.id_lookup,
        "unique": part.unique,
        "caseSensitive": part.case_sensitive,
        "picklistValues": [
            {"active": True, "defaultValue": False, "label": option, "validFor": None, "value": option}
            for option in part.options
        ],
        "restrictedPicklist": part.restricted,
        "referenceTo": [part.refers_to] if part.refers_to else list(part.beyond),
        "relationshipName": relationship(part) or None,
        "custom": part.custom,
        "permissionable": not (part.required or _system(part)),
        "filterable": part.type != "textarea",
        "sortable": part.type != "textarea",
    }


def relationship(part: Field) -> str:
    """The name under which a parent is given by its external id; empty for other fields."""
    if not part.refers_to and not part.beyond:
        return ""
    return part.name[:-3] + "__r" if part.custom else part.name.removesuffix("Id")


def _system(part: Field) -> bool:
    return part.name in ("Id", "IsDeleted", "CreatedDate", "LastModifiedDate", "SystemModstamp")
