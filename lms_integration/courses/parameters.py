"""The query parameters of the Courses API: what each may be, and what it becomes.

Any text may come, of any length: what cannot be read is a 400 that names the parameter.
"""

from collections.abc import Sequence
from typing import Any

from django.http import QueryDict
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from opaque_keys import InvalidKeyError
from opaque_keys.edx.keys import CourseKey
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.fields import empty
from rest_framework.request import Request

from lms_integration.courses.roles import ROLES
from lms_integration.courses.visibility import PERMISSIONS
from lms_integration.http.developer_errors import FieldErrors

_FLAGS = {"True": True, "true": True, "1": True, "False": False, "false": False, "0": False}
_REQUIRED = "This field is required."


@extend_schema_field(OpenApiTypes.BOOL)
class FlagField(serializers.Field[bool, str, bool, Any]):
    """``true`` or ``false``, as Open edX spells them; an empty text says nothing."""

    def to_internal_value(self, data: str) -> bool:
        """Return what a text says; raises ValidationError for another text."""
        if data not in _FLAGS:
            raise ValidationError("Invalid Boolean Value.")
        return _FLAGS[data]


@extend_schema_field({"type": "array", "items": {"type": "string"}})
class TextsField(serializers.Field[list[str], list[str], list[str], Any]):
    """Several texts: the parameter repeated, or one with commas, or both; each counts once."""

    def get_value(self, dictionary: Any) -> Any:
        """Return all that was sent under this name."""
        if not isinstance(dictionary, QueryDict):
            return super().get_value(dictionary)
        return dictionary.getlist(str(self.field_name)) or empty

    def to_internal_value(self, data: Sequence[str]) -> list[str]:
        """Return the texts in their order; one that is empty is none at all."""
        texts = ",".join(data)
        return list(dict.fromkeys(texts.split(","))) if texts else []


class CourseKeysField(TextsField):
    """Several course keys."""

    def to_internal_value(self, data: Sequence[str]) -> list[str]:
        """Return the keys; raises ValidationError for the first that is none."""
        return [_course_key(text) for text in super().to_internal_value(data)]


class PermissionsField(TextsField):
    """Several permissions."""

    def to_internal_value(self, data: Sequence[str]) -> list[str]:
        """Return the permissions; raises ValidationError for the first that does not exist."""
        names = super().to_internal_value(data)
        for name in names:
            if name not in PERMISSIONS:
                raise ValidationError(f"'{name}' is not one of {', '.join(PERMISSIONS)}.")
        return names


class DetailParameters(serializers.Serializer[Any]):
    """The query of one course."""

    username = serializers.CharField(
        required=False,
        allow_blank=True,
        help_text="Whose view it is; without it, an anonymous visitor's. Others than oneself: "
        "the site's team only.",
    )


class ListParameters(DetailParameters):
    """The query of the course list."""

    search_term = serializers.CharField(
        required=False,
        allow_blank=True,
        help_text="Words that have to occur, where FEATURES['ENABLE_COURSEWARE_SEARCH'] is on.",
    )
    org = serializers.CharField(
        required=False, allow_blank=True, help_text="The organization of the key, in any case."
    )
    mobile = FlagField(required=False, help_text="Whether the mobile apps have the course.")
    mobile_search = FlagField(
        required=False, help_text="Taken, and of no effect: searches are not limited here."
    )
    permissions = PermissionsField(
        required=False, help_text=f"What has to be allowed in addition: {', '.join(PERMISSIONS)}."
    )
    active_only = FlagField(required=False, help_text="Leave out what has ended.")
    course_keys = CourseKeysField(required=False, help_text="These courses only.")


class IdsParameters(serializers.Serializer[Any]):
    """The query of the list of course keys."""

    role = serializers.CharField(
        error_messages={"blank": _REQUIRED}, help_text=f"One of {', '.join(ROLES)}, in any case."
    )
    username = serializers.CharField(
        required=False,
        allow_blank=True,
        help_text="Whose role it is; without it, one's own. Others: the site's team only.",
    )

    def validate_role(self, role: str) -> str:
        """Return a role as it is stored; raises ValidationError for one that does not exist."""
        if role.lower() not in ROLES:
            raise ValidationError(f"'{role}' is not one of {', '.join(ROLES)}.")
        return role.lower()


def read_parameters(
    parameters: type[serializers.Serializer[Any]], request: Request
) -> dict[str, Any]:
    """Return the query of a request as values by name.

    Raises FieldErrors, which names each parameter that cannot be read.
    """
    reader = parameters(data=request.query_params)
    if not reader.is_valid():
        raise FieldErrors({name: _joined(texts) for name, texts in reader.errors.items()})
    values: dict[str, Any] = reader.validated_data
    return values


def course_key_of_path(text: str) -> str:
    """Return the course key of a path; raises FieldErrors for what is none."""
    try:
        return _course_key(text)
    except ValidationError as error:
        raise FieldErrors({"course_key": _joined(error.detail)}) from error


def _course_key(text: str) -> str:
    try:
        return str(CourseKey.from_string(text))
    except InvalidKeyError as error:
        raise ValidationError(f"'{text}' is not a valid course key.") from error


def _joined(texts: Any) -> str:
    return " ".join(str(text) for text in texts)
