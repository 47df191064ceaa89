-- Cut to a budget that is poured down a tree, level by level: a branch's part is its size to the power 1/temperature,
-- times a level x, but no more than it has, where x makes the parts add up to their parent's (Vo et al., Automatic
-- Data Curation for Self-Supervised Learning, TMLR 2024); fractions are settled by largest remainder. The tree has the
-- levels of SQL expressions, such as source and label, and below them those of clusters of clusters of the vectors.
-- :budget       INTEGER      NULL       [1, inf)  documents to keep; NULL keeps all
-- :levels       EXPRESSIONS  NULL       the topmost levels, from the top, in SQL: 'source, label'
-- :clusters     VARCHAR      NULL       clusters at each further level, from the lowest up: '1000, 100, 10'
-- :temperature  FLOAT        inf        (0, inf]  inf makes branches equal, as in the paper; 1 keeps their proportions
-- :order        VARCHAR      'nearest'  nearest|score|random  within a leaf those nearest to its centroid first
-- :resampling   INTEGER      0          [0, inf)  rounds in which the higher clusters are made anew (10 in the paper)
-- :seed         INTEGER      0          seeds the clusters and draws the random order, which also settles equal ones
WITH RECURSIVE placed AS (
    SELECT corpus, id, path, similarity
    FROM tree(
        'candidates', counts := string_split($clusters, ',')::INTEGER[], resampling := $resampling, seed := $seed
    )
),
drawn AS (
    SELECT
        c.corpus,
        c.id,
        c.previous_score,
        CASE
            WHEN $levels IS NULL AND $clusters IS NULL
                THEN error('hierarchy needs levels or clusters to make a tree of')
            ELSE coalesce(CAST($levels AS VARCHAR[]), [])
        END AS levels,
        md5(concat_ws(':', $seed, c.corpus, c.id)) AS draw
    FROM candidates AS c
),
led AS (
    SELECT
        d.corpus,
        d.id,
        d.draw,
        d.levels || coalesce(p.path, ['no direction']) AS path,
        CASE WHEN $order = 'nearest' THEN p.similarity ELSE d.previous_score END AS score
    FROM drawn AS d
    JOIN placed AS p ON p.corpus = d.corpus AND p.id = d.id
),
leaves AS (
    SELECT path, count(*) AS n
    FROM led
    GROUP BY path
),
branches AS (
    SELECT path[1:depth] AS branch, path[1:depth - 1] AS parent, sum(n)::DOUBLE AS n
    FROM (SELECT path, n, unnest(range(1, len(path) + 1)) AS depth FROM leaves)
    GROUP BY ALL
),
pulling AS (
    SELECT *, greatest(pow(n / max(n) OVER (PARTITION BY parent), 1 / $temperature), 1e-200) AS pull
    FROM branches
),
families AS (
    SELECT
        parent,
        list(branch ORDER BY branch) AS members,
        list(0.0::DOUBLE ORDER BY branch) AS floors,
        list(n ORDER BY branch) AS sizes,
        list(pull ORDER BY branch) AS pulls
    FROM pulling
    GROUP BY parent
),
poured AS (
    SELECT []::VARCHAR[] AS branch, least($budget, count(*))::BIGINT AS quota
    FROM led
    UNION ALL
    SELECT unnest(f.members) AS branch, unnest(shared_out(p.quota, f.floors, f.sizes, f.pulls)) AS quota
    FROM poured AS p
    JOIN families AS f ON f.parent = p.branch
),
ranked AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY path
            ORDER BY CASE WHEN $order <> 'random' THEN score END DESC NULLS LAST, draw, corpus, id
        ) AS rank
    FROM led
)
SELECT
    r.corpus,
    r.id,
    r.rank <= p.quota AS keep,
    CASE WHEN r.rank > p.quota THEN 'over the quota of ' || group_name(r.path) END AS rule,
    r.score,
    p.quota AS threshold,
    r.rank
FROM ranked AS r
JOIN poured AS p ON p.branch = r.path
