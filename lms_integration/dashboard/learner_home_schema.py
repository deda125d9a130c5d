"""The shape of the learner home's JSON, for the API's description; nothing is serialised with it."""

from rest_framework import serializers


class EmailConfirmationSchema(serializers.Serializer[None]):
    """Whether the account still has to be activated."""

    isNeeded = serializers.BooleanField()  # noqa: N815 - the name in the answer, as all below
    sendEmailUrl = serializers.CharField()  # noqa: N815


class PlatformSettingsSchema(serializers.Serializer[None]):
    """Where the site's other places are."""

    supportEmail = serializers.CharField()  # noqa: N815
    billingEmail = serializers.CharField()  # noqa: N815
    courseSearchUrl = serializers.CharField()  # noqa: N815


class CourseSchema(serializers.Serializer[None]):
    """What a course is called and looks like."""

    bannerImgSrc = serializers.CharField(allow_blank=True)  # noqa: N815
    courseName = serializers.CharField(allow_blank=True)  # noqa: N815
    courseNumber = serializers.CharField(allow_blank=True)  # noqa: N815
    socialShareUrl = serializers.CharField()  # noqa: N815


class CourseProviderSchema(serializers.Serializer[None]):
    """The organization that a course is shown under."""

    name = serializers.CharField(allow_blank=True)


class CourseRunSchema(serializers.Serializer[None]):
    """When a course runs, and where its pages are."""

    isStarted = serializers.BooleanField()  # noqa: N815
    isArchived = serializers.BooleanField()  # noqa: N815
    courseId = serializers.CharField()  # noqa: N815
    minPassingGrade = serializers.CharField(allow_null=True)  # noqa: N815
    startDate = serializers.DateTimeField(allow_null=True)  # noqa: N815
    advertisedStart = serializers.CharField(allow_null=True, allow_blank=True)  # noqa: N815
    endDate = serializers.DateTimeField(allow_null=True)  # noqa: N815
    homeUrl = serializers.CharField()  # noqa: N815
    marketingUrl = serializers.CharField(allow_null=True, allow_blank=True)  # noqa: N815
    progressUrl = serializers.CharField()  # noqa: N815
    unenrollUrl = serializers.CharField()  # noqa: N815
    upgradeUrl = serializers.CharField(allow_null=True)  # noqa: N815
    resumeUrl = serializers.CharField(allow_null=True)  # noqa: N815
    courseState = serializers.ChoiceField(  # noqa: N815
        ["never_built", "deleted"],
        required=False,
        help_text="Why nothing more is known; only for a course without overview.",
    )
    notice = serializers.CharField(
        required=False, help_text="The same in words of the active language."
    )


class CoursewareAccessSchema(serializers.Serializer[None]):
    """What keeps the learner out of a course."""

    hasUnmetPrerequisites = serializers.BooleanField()  # noqa: N815
    isTooEarly = serializers.BooleanField()  # noqa: N815
    isStaff = serializers.BooleanField()  # noqa: N815


class EnrollmentSchema(serializers.Serializer[None]):
    """How the learner is enrolled."""

    accessExpirationDate = serializers.DateTimeField(allow_null=True)  # noqa: N815
    isAudit = serializers.BooleanField()  # noqa: N815
    hasStarted = serializers.BooleanField()  # noqa: N815
    coursewareAccess = CoursewareAccessSchema()  # noqa: N815
    isVerified = serializers.BooleanField()  # noqa: N815
    canUpgrade = serializers.BooleanField()  # noqa: N815
    isAuditAccessExpired = serializers.BooleanField()  # noqa: N815
    isEmailEnabled = serializers.BooleanField()  # noqa: N815
    hasOptedOutOfEmail = serializers.BooleanField()  # noqa: N815
    lastEnrolled = serializers.DateTimeField(allow_null=True)  # noqa: N815
    isEnrolled = serializers.BooleanField()  # noqa: N815
    mode = serializers.CharField()


class CertificateSchema(serializers.Serializer[None]):
    """What became of the certificate."""

    availableDate = serializers.DateTimeField(allow_null=True)  # noqa: N815
    isRestricted = serializers.BooleanField()  # noqa: N815
    isEarned = serializers.BooleanField()  # noqa: N815
    isDownloadable = serializers.BooleanField()  # noqa: N815
    certPreviewUrl = serializers.CharField(allow_null=True)  # noqa: N815


class GradeDataSchema(serializers.Serializer[None]):
    """Whether the learner has passed; grades are not known here."""

    isPassing = serializers.BooleanField()  # noqa: N815


class ProgramsSchema(serializers.Serializer[None]):
    """The programs that a course belongs to: none are known here."""

    relatedPrograms = serializers.ListField(child=serializers.DictField())  # noqa: N815


class LearnerCourseSchema(serializers.Serializer[None]):
    """One enrolment."""

    course = CourseSchema()
    courseProvider = CourseProviderSchema()  # noqa: N815
    courseRun = CourseRunSchema()  # noqa: N815
    enrollment = EnrollmentSchema()
    certificate = CertificateSchema()
    entitlement = serializers.DictField()
    gradeData = GradeDataSchema()  # noqa: N815
    programs = ProgramsSchema()
    credit = serializers.DictField()


class NetworkSchema(serializers.Serializer[None]):
    """How courses are shared in one network."""

    isEnabled = serializers.BooleanField()  # noqa: N815
    socialBrand = serializers.CharField(allow_null=True)  # noqa: N815
    utmParams = serializers.CharField()  # noqa: N815


class SocialShareSettingsSchema(serializers.Serializer[None]):
    """How courses are shared."""

    facebook = NetworkSchema()
    twitter = NetworkSchema()


class LearnerHomeSchema(serializers.Serializer[None]):
    """The learner's dashboard."""

    emailConfirmation = EmailConfirmationSchema()  # noqa: N815
    enterpriseDashboard = serializers.DictField(allow_null=True)  # noqa: N815
    platformSettings = PlatformSettingsSchema()  # noqa: N815
    courses = LearnerCourseSchema(many=True)
    socialShareSettings = SocialShareSettingsSchema()  # noqa: N815
    suggestedCourses = serializers.ListField(child=serializers.DictField())  # noqa: N815


class LearnerHomeErrorSchema(serializers.Serializer[None]):
    """Why there is no dashboard."""

    detail = serializers.CharField()
