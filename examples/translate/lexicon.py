"""Words of the phrases, in English, German, French, Spanish, Italian and Dutch, with what agreement needs."""

from __future__ import annotations

from dataclasses import dataclass

LANGUAGES = ("de", "fr", "es", "it", "nl")


@dataclass(frozen=True)
class Noun:
    """A noun, each language's after its gender: ``m``, ``f``, ``n``, or in Dutch ``de`` or ``het``."""

    en: str
    de: tuple[str, str]
    fr: tuple[str, str]
    es: tuple[str, str]
    it: tuple[str, str]
    nl: tuple[str, str]


@dataclass(frozen=True)
class Adjective:
    """A predicate: invariable in German and Dutch, masculine and feminine in the others, which in Spanish
    are said by ``es`` or ``está``."""

    en: str
    de: str
    fr: tuple[str, str]
    es: tuple[str, str, str]
    it: tuple[str, str]
    nl: str


def _noun(line: str) -> Noun:
    en, *others = (cell.strip() for cell in line.split("|"))
    pairs = [tuple(cell.split(" ", 1)) for cell in others]
    return Noun(en, *pairs)  # type: ignore[arg-type]


def _adjective(line: str) -> Adjective:
    en, german, french, spanish, italian, dutch = (cell.strip() for cell in line.split("|"))
    pairs = [tuple(cell.split(" ")) for cell in (french, spanish, italian)]
    return Adjective(en, german, *pairs, dutch)  # type: ignore[arg-type]


PLACES = tuple(
    _noun(line)
    for line in """\
station | m Bahnhof | f gare | f estación | f stazione | het station
airport | m Flughafen | m aéroport | m aeropuerto | m aeroporto | de luchthaven
museum | n Museum | m musée | m museo | m museo | het museum
hotel | n Hotel | m hôtel | m hotel | m hotel | het hotel
restaurant | n Restaurant | m restaurant | m restaurante | m ristorante | het restaurant
library | f Bibliothek | f bibliothèque | f biblioteca | f biblioteca | de bibliotheek
hospital | n Krankenhaus | m hôpital | m hospital | m ospedale | het ziekenhuis
pharmacy | f Apotheke | f pharmacie | f farmacia | f farmacia | de apotheek
church | f Kirche | f église | f iglesia | f chiesa | de kerk
school | f Schule | f école | f escuela | f scuola | de school
bank | f Bank | f banque | m banco | f banca | de bank
bakery | f Bäckerei | f boulangerie | f panadería | f panetteria | de bakkerij
market | m Markt | m marché | m mercado | m mercato | de markt
park | m Park | m parc | m parque | m parco | het park
beach | m Strand | f plage | f playa | f spiaggia | het strand
bridge | f Brücke | m pont | m puente | m ponte | de brug
castle | n Schloss | m château | m castillo | m castello | het kasteel
harbour | m Hafen | m port | m puerto | m porto | de haven
theatre | n Theater | m théâtre | m teatro | m teatro | het theater
university | f Universität | f université | f universidad | f università | de universiteit
town hall | n Rathaus | f mairie | m ayuntamiento | m municipio | het stadhuis
cinema | n Kino | m cinéma | m cine | m cinema | de bioscoop
supermarket | m Supermarkt | m supermarché | m supermercado | m supermercato | de supermarkt
car park | m Parkplatz | m parking | m aparcamiento | m parcheggio | de parkeerplaats
exit | m Ausgang | f sortie | f salida | f uscita | de uitgang
entrance | m Eingang | f entrée | f entrada | f entrata | de ingang
garden | m Garten | m jardin | m jardín | m giardino | de tuin
kitchen | f Küche | f cuisine | f cocina | f cucina | de keuken
tower | m Turm | f tour | f torre | f torre | de toren
square | m Platz | f place | f plaza | f piazza | het plein
river | m Fluss | f rivière | m río | m fiume | de rivier
lake | m See | m lac | m lago | m lago | het meer
village | n Dorf | m village | m pueblo | m villaggio | het dorp
street | f Straße | f rue | f calle | f strada | de straat
shop | n Geschäft | m magasin | f tienda | m negozio | de winkel
swimming pool | n Schwimmbad | f piscine | f piscina | f piscina | het zwembad
stadium | n Stadion | m stade | m estadio | m stadio | het stadion
zoo | m Zoo | m zoo | m zoo | m zoo | de dierentuin
cathedral | f Kathedrale | f cathédrale | f catedral | f cattedrale | de kathedraal""".splitlines()
)

OPENING = tuple(
    place
    for place in PLACES
    if place.en
    in (
        "museum", "restaurant", "library", "pharmacy", "bank", "bakery", "market", "park", "castle",
        "theatre", "town hall", "cinema", "supermarket", "shop", "swimming pool", "zoo",
        "cathedral", "kitchen",
    )
)  # fmt: skip
"""Places with hours."""

# Without an article: what is bought, and in what it is measured.
GOODS = tuple(
    _noun(line)
    for line in """\
coffee | m Kaffee | m café | m café | m caffè | de koffie
tea | m Tee | m thé | m té | m tè | de thee
bread | n Brot | m pain | m pan | m pane | het brood
cheese | m Käse | m fromage | m queso | m formaggio | de kaas
fish | m Fisch | m poisson | m pescado | m pesce | de vis
rice | m Reis | m riz | m arroz | m riso | de rijst
salt | n Salz | m sel | f sal | m sale | het zout
sugar | m Zucker | m sucre | m azúcar | m zucchero | de suiker
butter | f Butter | m beurre | f mantequilla | m burro | de boter
flour | n Mehl | f farine | f harina | f farina | het meel""".splitlines()
)
DRINKS = tuple(
    _noun(line)
    for line in """\
water | n Wasser | f eau | f agua | f acqua | het water
milk | f Milch | m lait | f leche | m latte | de melk
wine | m Wein | m vin | m vino | m vino | de wijn
beer | n Bier | f bière | f cerveza | f birra | het bier
soup | f Suppe | f soupe | f sopa | f zuppa | de soep
vinegar | m Essig | m vinaigre | m vinagre | m aceto | de azijn
apple juice | m Apfelsaft | m jus de pomme | m zumo de manzana | m succo di mela | het appelsap
""".splitlines()
)
PRICED = (
    *GOODS,
    *DRINKS,
    *(
        _noun(line)
        for line in """\
ticket | f Fahrkarte | m billet | m billete | m biglietto | het kaartje
breakfast | n Frühstück | m petit-déjeuner | m desayuno | f colazione | het ontbijt
salad | m Salat | f salade | f ensalada | f insalata | de salade
cake | m Kuchen | m gâteau | f tarta | f torta | de taart
ice cream | n Eis | f glace | m helado | m gelato | het ijs""".splitlines()
    ),
)

VEHICLES = tuple(
    _noun(line)
    for line in """\
train | m Zug | m train | m tren | m treno | de trein
bus | m Bus | m bus | m autobús | m autobus | de bus
ship | n Schiff | m bateau | m barco | f nave | het schip""".splitlines()
)

ADJECTIVES = tuple(
    _adjective(line)
    for line in """\
closed | geschlossen | fermé fermée | está cerrado cerrada | chiuso chiusa | gesloten
open | geöffnet | ouvert ouverte | está abierto abierta | aperto aperta | open
big | groß | grand grande | es grande grande | grande grande | groot
small | klein | petit petite | es pequeño pequeña | piccolo piccola | klein
beautiful | schön | beau belle | es bonito bonita | bello bella | mooi
old | alt | vieux vieille | es antiguo antigua | vecchio vecchia | oud
new | neu | nouveau nouvelle | es nuevo nueva | nuovo nuova | nieuw
empty | leer | vide vide | está vacío vacía | vuoto vuota | leeg
full | voll | plein pleine | está lleno llena | pieno piena | vol
clean | sauber | propre propre | está limpio limpia | pulito pulita | schoon
quiet | ruhig | calme calme | es tranquilo tranquila | tranquillo tranquilla | rustig
famous | berühmt | célèbre célèbre | es famoso famosa | famoso famosa | beroemd""".splitlines()
)

TERRITORIES = tuple(
    """\
AR AT AU BE BG BR CA CH CL CN CO CU CZ DE DK DZ EC EE EG ES ET FI FR GB GE GH GR HR HU ID IE IL IN IQ IR IS IT
JM JO JP KE KH LB LT LU LV LY MA MX MY NG NL NO NP NZ PE PH PK PL PT RO RS RU SE SI SK SN SY TH TN TR UA US UY
VE VN YE ZA""".split()  # noqa: SIM905
)
TONGUES = tuple(
    """\
ar bg cs da de el en es et fi fr he hi hr hu id is it ja ko lt lv nl no pl pt ro ru sk sl sq sr sv th tr
uk vi zh""".split()  # noqa: SIM905
)
CURRENCIES = tuple(
    """\
AUD BRL CAD CHF CNY CZK DKK EUR GBP HUF INR JPY KRW MXN NOK PLN RON RUB
SEK THB TRY UAH USD ZAR""".split()  # noqa: SIM905
)
"""Names of these are CLDR's, by Babel."""
