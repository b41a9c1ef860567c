"""Jobs through the endpoint: who sees them, and who stops them."""

from uuid import UUID, uuid4

from auth.viewers import Viewer
from tests.api.people import code_of, done, me, member, refused
from tests.running import Api
from web.works import Process

JOB = (
    "query ($id: ID!) { job(id: $id) { __typename id status progress createdAt finishedAt error { code } ... on BackgroundJob { kind } } }"
)
JOBS = """
    query ($first: Int!, $after: String, $status: [JobStatus!]) {
      jobs(first: $first, after: $after, status: $status) {
        nodes { id status ... on BackgroundJob { kind } } edges { cursor node { __typename } } pageInfo { hasNextPage endCursor }
      }
    }"""
NODE = "query ($id: ID!) { node(id: $id) { __typename id ... on Job { status } } }"


async def viewer_of(api: Api, process: Process) -> Viewer:
    assert api.token is not None
    return await process.works.sessions.viewer_of(api.token)


async def begun(process: Process, viewer: Viewer, *, by_penny: bool = False) -> str:
    """The id of a job that somebody began, or nobody, and that no worker knows."""
    created_by = None if by_penny else viewer.user_id
    async with process.works.scopes.writing(viewer.tenant_id) as scope:
        row = await process.works.jobs.add(scope, viewer.tenant_id, f"test {uuid4().hex}", {"n": 1}, created_by=created_by)
    job_id: UUID = row["id"]
    return f"job_{job_id.hex}"


async def test_whoever_began_a_job_and_administrators_see_it_and_nobody_else(api: Api, process: Process) -> None:
    owner, stranger = await api.sign_up(), await api.sign_up()
    bob, eve = await member(owner, process, "creator"), await member(owner, process, "creator")
    job_id = await begun(process, await viewer_of(bob, process))
    for seer in (bob, owner):
        job = (await seer.data(JOB, id=job_id))["job"]
        assert (job["__typename"], job["id"], job["status"], job["progress"], job["error"]) == (
            "BackgroundJob",
            job_id,
            "QUEUED",
            None,
            None,
        )
        assert job["kind"].startswith("test ")
        assert (await seer.data(NODE, id=job_id))["node"] == {"__typename": "BackgroundJob", "id": job_id, "status": "QUEUED"}
    for blind in (eve, stranger):
        assert (await blind.data(JOB, id=job_id))["job"] is None
        assert (await blind.data(NODE, id=job_id))["node"] is None
    assert (await bob.data(JOB, id=(await me(bob))["viewer"]["user"]["id"]))["job"] is None


async def test_jobs_are_listed_for_whoever_began_them_the_newest_first(api: Api, process: Process) -> None:
    owner = await api.sign_up()
    bob = await member(owner, process, "creator")
    seer = await viewer_of(bob, process)
    ids = [await begun(process, seer) for _ in range(3)]
    await begun(process, seer, by_penny=True)
    await done(bob, "jobCancel", "job { id }", jobId=ids[1])
    first = (await bob.data(JOBS, first=2))["jobs"]
    assert [job["id"] for job in first["nodes"]] == [ids[2], ids[1]]
    assert first["edges"][0]["node"] == {"__typename": "BackgroundJob"}
    assert first["pageInfo"]["hasNextPage"] is True
    rest = (await bob.data(JOBS, first=2, after=first["pageInfo"]["endCursor"]))["jobs"]
    assert ([job["id"] for job in rest["nodes"]], rest["pageInfo"]["hasNextPage"]) == ([ids[0]], False)
    assert [job["id"] for job in (await bob.data(JOBS, first=9, status=["CANCELLED"]))["jobs"]["nodes"]] == [ids[1]]
    assert (await owner.data(JOBS, first=9))["jobs"]["nodes"] == [], "what others began is found by its id"
    assert await code_of(owner, JOBS, first=9, after=first["pageInfo"]["endCursor"]) == "BAD_USER_INPUT"
    assert await code_of(api.as_(None), JOBS, first=9) == "UNAUTHENTICATED"


async def test_a_job_is_stopped_by_those_who_see_it(api: Api, process: Process) -> None:
    owner, stranger = await api.sign_up(), await api.sign_up()
    bob, eve = await member(owner, process, "creator"), await member(owner, process, "creator")
    job_id = await begun(process, await viewer_of(bob, process))
    for blind in (eve, stranger):
        assert (await refused(blind, "jobCancel", jobId=job_id))["__typename"] == "NotFoundError"
    assert (await refused(bob, "jobCancel", jobId="chat_" + "0" * 32))["__typename"] == "NotFoundError"
    assert (await bob.data(JOB, id=job_id))["job"]["status"] == "QUEUED"
    job = (await done(bob, "jobCancel", "job { id status finishedAt ... on BackgroundJob { kind } }", jobId=job_id))["job"]
    assert (job["id"], job["status"]) == (job_id, "CANCELLED")
    assert job["finishedAt"] is not None
    assert (await done(owner, "jobCancel", "job { finishedAt }", jobId=job_id))["job"] == {"finishedAt": job["finishedAt"]}
    assert await code_of(api, JOB, id=job_id) == "UNAUTHENTICATED"


async def test_a_key_that_may_only_read_stops_no_job(api: Api, process: Process) -> None:
    owner = await api.sign_up()
    job_id = await begun(process, await viewer_of(owner, process))
    reading, writing = [
        owner.as_((await done(owner, "apiKeyCreate", "secretOnce", name="CI", scopes=[scope]))["secretOnce"])
        for scope in ("chats:read", "chats:write")
    ]
    assert (await refused(reading, "jobCancel", jobId=job_id))["code"] == "PERMISSION_DENIED"
    assert (await owner.data(JOB, id=job_id))["job"]["status"] == "QUEUED"
    assert (await done(writing, "jobCancel", "job { status }", jobId=job_id))["job"]["status"] == "CANCELLED"


async def test_what_penny_does_for_itself_is_cancelled_by_nobody(api: Api, process: Process) -> None:
    owner = await api.sign_up()
    bob = await member(owner, process, "creator")
    job_id = await begun(process, await viewer_of(bob, process), by_penny=True)
    assert (await refused(bob, "jobCancel", jobId=job_id))["__typename"] == "NotFoundError"
    assert (await refused(owner, "jobCancel", jobId=job_id))["code"] == "CONFLICT"
    assert (await owner.data(JOB, id=job_id))["job"]["status"] == "QUEUED"
