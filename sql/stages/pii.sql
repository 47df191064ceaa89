-- Mask, or drop, documents with what identifies a person: mail addresses, telephone numbers, bank accounts, payment
-- cards, national ids and IP addresses, by pii(candidates). A masked document stays, with <EMAIL>, <PHONE>, … in the
-- places of what was found: later stages and the mix have that text, explanations and reports too. Its vector stays that
-- of the whole text. The rule lists the kinds that were found, the score is how many there were.
-- judges: each alone
-- :action   VARCHAR  'mask'    mask|drop  mask keeps the document with its text masked, drop drops it
-- :kinds    VARCHAR  NULL      of email, phone, iban, card, national_id, ip, those to look for; NULL for all
-- :regions  VARCHAR  'US, GB'  ISO 3166 codes of countries whose telephone numbers need no country code; '' for none
SELECT
    corpus,
    id,
    found = 0 OR $action = 'mask' AS keep,
    kinds AS rule,
    found AS score,
    CASE WHEN found > 0 THEN text END AS text,
    counts AS reason
FROM masked(candidates, kinds := $kinds, regions := $regions)
