"""The words that the guards of the semantic cache look for, and what an ending may hide.

Below: the standard library; `entities.txt` beside this file. Above: guards. English only, as the embedding model is.
"""

from __future__ import annotations

import re
from pathlib import Path


def _listed(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _pairs(text: str) -> dict[str, str]:
    """`a=b c=b` as a table."""
    return dict(pair.split("=") for pair in text.split())


NEGATIONS = _listed("""
    no not never none nobody nothing neither nor without cannot cant dont doesnt didnt wont wouldnt isnt arent
    wasnt werent shouldnt couldnt havent hasnt hadnt aint unable stop disable cancel undo unlike except fail
    fails failed
""")
NUMBER_WORDS = _listed("""
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen
    twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion lakh crore dozen half quarter double twice
    triple thrice single both pair first second third fourth fifth last next previous once several
""")
"""Compared as they are written: that `one` is `1` would be right mostly, and a number is no place for mostly."""
UNITS = _pairs("""
    kg=kg kgs=kg kilo=kg kilos=kg kilogram=kg kilograms=kg g=g gram=g grams=g mg=mg lb=lb lbs=lb pound=gbp pounds=gbp oz=oz ounce=oz
    ounces=oz ton=ton tons=ton tonne=ton tonnes=ton km=km kms=km kilometer=km kilometers=km kilometre=km kilometres=km m=m
    meter=m meters=m metre=m metres=m cm=cm mm=mm mile=mile miles=mile yard=yard yards=yard ft=foot foot=foot feet=foot inch=inch
    inches=inch l=l liter=l liters=l litre=l litres=l ml=ml gallon=gallon gallons=gallon kb=kb mb=mb gb=gb tb=tb
    celsius=°c fahrenheit=°f mph=mph kmh=kmh kph=kmh watt=w watts=w kw=kw kwh=kwh volt=v volts=v percent=% percentage=%
    $=usd dollar=usd dollars=usd usd=usd bucks=usd €=eur euro=eur euros=eur eur=eur £=gbp gbp=gbp sterling=gbp quid=gbp ¥=jpy yen=jpy
    ₹=inr rupee=inr rupees=inr inr=inr cent=cent cents=cent
    second=s seconds=s sec=s secs=s minute=min minutes=min min=min mins=min hour=h hours=h hr=h hrs=h day=day days=day week=week
    weeks=week month=month months=month year=year years=year decade=decade decades=decade century=century centuries=century
    daily=day weekly=week monthly=month yearly=year annually=year annual=year hourly=h
""")
DATE_WORDS = _listed("""
    monday tuesday wednesday thursday friday saturday sunday mondays tuesdays wednesdays thursdays fridays saturdays sundays
    january february april june july august september october november december jan feb apr jun jul aug sep sept oct nov dec
    today tomorrow yesterday tonight morning afternoon evening midnight noon weekend weekends weekday weekdays spring summer autumn
    winter christmas easter ramadan diwali thanksgiving am pm
""")
OPPOSITES = (
    ("before", "after"), ("buy", "sell"), ("increase", "decrease"), ("open", "close"), ("start", "stop"), ("on", "off"),
    ("enable", "disable"), ("cheapest", "best"), ("best", "worst"), ("more", "less"), ("most", "least"), ("add", "remove"),
    ("accept", "reject"), ("max", "min"), ("maximum", "minimum"), ("good", "bad"), ("pros", "cons"), ("gain", "lose"),
    ("legal", "illegal"), ("possible", "impossible"), ("in", "out"), ("up", "down"), ("left", "right"), ("male", "female"),
    ("boys", "girls"), ("men", "women"), ("he", "she"), ("lend", "borrow"), ("send", "receive"), ("import", "export"),
    ("man", "woman"), ("boy", "girl"), ("husband", "wife"), ("boyfriend", "girlfriend"), ("mother", "father"), ("son", "daughter"),
    ("brother", "sister"), ("same", "different"), ("from", "to"), ("deposit", "withdraw"), ("deposit", "withdrawal"),
    ("activate", "deactivate"), ("lock", "unlock"), ("block", "unblock"), ("install", "uninstall"), ("subscribe", "unsubscribe"),
    ("upgrade", "downgrade"), ("upload", "download"), ("login", "logout"), ("win", "lose"), ("love", "hate"), ("like", "dislike"),
    ("advantages", "disadvantages"), ("advantage", "disadvantage"), ("benefits", "risks"), ("higher", "lower"), ("high", "low"),
    ("hot", "cold"), ("early", "late"), ("earlier", "later"), ("first", "last"), ("inside", "outside"), ("above", "below"),
    ("over", "under"), ("push", "pull"), ("credit", "debit"), ("incoming", "outgoing"), ("public", "private"), ("old", "new"),
    ("long", "short"), ("longest", "shortest"), ("biggest", "smallest"), ("largest", "smallest"), ("highest", "lowest"),
    ("cheap", "expensive"), ("cheapest", "expensive"), ("safe", "dangerous"), ("true", "false"), ("allow", "forbid"),
    ("hire", "fire"), ("with", "without"), ("include", "exclude"), ("encrypt", "decrypt"), ("fast", "slow"), ("gain", "loss"),
    ("profit", "loss"), ("positive", "negative"), ("introvert", "extrovert"), ("physical", "virtual"),
)  # fmt: skip
WHOSE = _pairs("i=me my=me mine=me me=me myself=me we=us our=us us=us ours=us your=you you=you yours=you yourself=you "
               "he=he his=he him=he she=she her=she hers=she they=they their=they them=they")  # fmt: skip
FUNCTION_WORDS = _listed("""
    a an the this that these those some any is are was were be been being am do does did done doing have has had having will would shall
    should can could may might must to of in on at by for from with into onto about as than then so and or but if it its it's i me my mine myself we
    our us you your yours yourself he him his she her hers they them their what which who whom whose why when where how there here please just
    really actually also very much many get got getting gets s t d ll re ve m im ive id whats hows wheres whos hi hello hey thanks
    thank too ever still yet up out not no dont doesnt didnt cant wont isnt arent wasnt havent hasnt don doesn didn won isn aren wasn haven hasn
    couldn wouldn shouldn couldnt wouldnt shouldnt
""")
OPENINGS = _pairs("""
    how=how why=why when=when where=where who=who whom=who whose=who what=what whats=what which=what can=can could=can may=can is=is are=is
    was=was were=was do=do does=do did=did has=has have=has had=has will=will would=would shall=should should=should must=must if=if
""")
OUTSIDE = _listed("this these those below following attached above")
SMALL_WORDS = _listed("""
    in on by for from with into about to of at should must would will myself yourself himself herself themselves
""")
TRAILING = _listed("of for with do about like from to in on by at")
_ENDINGS = (
    ("ization", "ize"), ("ational", "ate"), ("fulness", "ful"), ("iveness", "ive"), ("ations", "ate"), ("ation", "ate"), ("ments", "ment"),
    ("ingly", ""), ("edly", ""), ("ings", ""), ("ies", "y"), ("ied", "y"), ("ing", ""), ("ers", "er"), ("est", ""), ("ed", ""), ("es", ""),
    ("ly", ""), ("s", ""),
)  # fmt: skip
_SPELLING = str.maketrans("", "", "'-")
_DOUBLED = re.compile(r"([bdfglmnprt])\1$")
_ALIKE = _pairs("""
    photo=picture photos=picture pic=picture pics=picture favourite=favorite favourites=favorite colour=color programme=program
    organisation=organization centre=center cheque=check mobile=phone cellphone=phone telephone=phone movie=film movies=film
    purchase=buy purchasing=buy purchased=buy begin=start beginning=start began=start bought=buy quickest=fastest kids=child
    kid=child children=child television=tv maths=math mathematics=math info=information difference=differ different=differ
    differences=differ grey=gray lost=lose losing=lose people=person persons=person
""")


def stem(word: str) -> str:
    """`word` without the endings that do not change what is meant. Crude: two stems that differ may still mean the same."""
    word = word.translate(_SPELLING)
    word = _ALIKE.get(word, word)
    for ending, instead in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) + len(instead) >= 3 and not word.endswith("ss"):
            word = _DOUBLED.sub(r"\1", word[: -len(ending)]) + instead
            break
    word = _ALIKE.get(word, word)
    return word[:-1] if word.endswith("e") and len(word) > 3 else word


def _entities() -> dict[str, str]:
    """Each name with the one it stands for; a few are written in several ways."""
    lines = (Path(__file__).parent / "entities.txt").read_text(encoding="utf-8").splitlines()
    names = {word: word for line in lines if not line.startswith("#") for word in line.split()}
    same = _pairs("""
        dollars=dollar usd=dollar euros=euro eur=euro pounds=pound gbp=pound rupees=rupee inr=rupee btc=bitcoin eth=ethereum american=usa
        america=usa british=uk britain=uk indian=india chinese=china german=germany french=france spanish=spain italian=italy
        japanese=japan russian=russia canadian=canada australian=australia mexican=mexico european=europe eu=europe muslims=muslim
        christians=christian hindus=hindu jews=jew jewish=jew buddhists=buddhist postgresql=postgres
    """)
    return names | same


ENTITIES = _entities()
