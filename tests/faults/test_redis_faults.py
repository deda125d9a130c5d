"""Redis as the broker may lose everything it knows: marks and the sweeper carry on."""

import pytest
from redis import Redis

from tests.faults.scene import OUTAGE_SECONDS, Scene

pytestmark = pytest.mark.service


def test_a_redis_that_is_flushed_again_and_again_loses_no_course(redis_scene: Scene):
    with (
        Redis.from_url(redis_scene.environment["OVERVIEW_REDIS_URL"]) as redis,
        redis_scene.publishing() as author,
    ):
        for _ in range(3):
            author.save_for(OUTAGE_SECONDS / 3)
            redis.flushall()
        author.wait_for_saves(5)
