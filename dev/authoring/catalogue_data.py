"""The universities, subjects and phrases of the sample catalogue; all of them are invented."""

# ruff: noqa: RUF001 - the titles are in twelve languages, whose letters resemble each other

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Phrases:
    """What course pages say in one language; ``{title}``, ``{low}`` and the like are filled in."""

    language: str  #: as in the course setting ``language``
    short_description: str
    effort: str
    week: str
    soon: str  #: an ``advertised_start`` that names no date
    highlights: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class University:
    """One organisation with its subjects."""

    org: str
    name: str
    phrases: Phrases
    subjects: tuple[tuple[str, str], ...]  #: ``(course number, title)``


EN = Phrases(
    language="en",
    short_description="{title}: ideas, methods and practice, with weekly exercises and feedback.",
    effort="{low}–{high} hours per week",
    week="Week {number}",
    soon="Coming soon",
    highlights=("Meet the key ideas", "Work through a real case", "Discuss with your peers"),
)
ES = Phrases(
    language="es",
    short_description="{title}: conceptos, métodos y práctica con ejercicios semanales.",
    effort="De {low} a {high} horas por semana",
    week="Semana {number}",
    soon="Próximamente",
    highlights=("Conozca las ideas clave", "Analice un caso real", "Debata con sus compañeros"),
)
FR = Phrases(
    language="fr",
    short_description="{title} : notions, méthodes et pratique, avec des exercices chaque semaine.",
    effort="{low} à {high} heures par semaine",
    week="Semaine {number}",
    soon="Bientôt disponible",
    highlights=("Les notions essentielles", "Étude de cas", "Débat entre participants"),
)
DE = Phrases(
    language="de",
    short_description="{title}: Grundlagen, Methoden und Praxis mit wöchentlichen Übungen.",
    effort="{low}–{high} Stunden pro Woche",
    week="Woche {number}",
    soon="Demnächst",
    highlights=("Grundbegriffe verstehen", "Ein Fallbeispiel lösen", "Gemeinsam diskutieren"),
)
PT = Phrases(
    language="pt",
    short_description="{title}: conceitos, métodos e prática, com exercícios semanais.",
    effort="{low} a {high} horas por semana",
    week="Semana {number}",
    soon="Em breve",
    highlights=("Ideias principais", "Um caso real", "Discussão em grupo"),
)
IT = Phrases(
    language="it",
    short_description="{title}: concetti, metodi e pratica, con esercizi ogni settimana.",
    effort="{low}–{high} ore a settimana",
    week="Settimana {number}",
    soon="Prossimamente",
    highlights=("Le idee fondamentali", "Un caso reale", "Confronto tra pari"),
)
JA = Phrases(
    language="ja",
    short_description="{title}：考え方と方法を学び、毎週の演習で身につけます。",
    effort="週{low}〜{high}時間",
    week="第{number}週",
    soon="近日公開",
    highlights=("基本の考え方", "事例の分析", "受講者どうしの議論"),
)
ZH = Phrases(
    language="zh",
    short_description="{title}：概念、方法与实践，每周配有练习。",
    effort="每周 {low} 至 {high} 小时",
    week="第 {number} 周",
    soon="即将开课",
    highlights=("核心概念", "案例分析", "小组讨论"),
)
AR = Phrases(
    language="ar",
    short_description="{title}: مفاهيم وأساليب وتطبيقات مع تمارين أسبوعية.",
    effort="من {low} إلى {high} ساعات أسبوعيًا",
    week="الأسبوع {number}",
    soon="قريبًا",
    highlights=("الأفكار الأساسية", "دراسة حالة", "نقاش جماعي"),
)
RU = Phrases(
    language="ru",
    short_description="{title}: понятия, методы и практика с еженедельными заданиями.",
    effort="{low}–{high} часов в неделю",
    week="Неделя {number}",
    soon="Скоро",
    highlights=("Основные понятия", "Разбор примера", "Обсуждение в группе"),
)
EL = Phrases(
    language="el",
    short_description="{title}: έννοιες, μέθοδοι και πράξη με εβδομαδιαίες ασκήσεις.",
    effort="{low}–{high} ώρες την εβδομάδα",
    week="Εβδομάδα {number}",
    soon="Προσεχώς",
    highlights=("Βασικές έννοιες", "Μελέτη περίπτωσης", "Συζήτηση"),
)
VI = Phrases(
    language="vi",
    short_description="{title}: khái niệm, phương pháp và thực hành với bài tập hằng tuần.",
    effort="{low}–{high} giờ mỗi tuần",
    week="Tuần {number}",
    soon="Sắp khai giảng",
    highlights=("Ý tưởng chính", "Phân tích tình huống", "Thảo luận nhóm"),
)

UNIVERSITIES = (
    University(
        org="NorthfieldX",
        name="University of Northfield",
        phrases=EN,
        subjects=(
            ("CS101x", "Thinking in Programs"),
            ("CS210x", "Data Structures You Will Actually Use"),
            ("STAT110x", "Statistics for Everyday Decisions"),
            ("BIO150x", "The Life of a Cell"),
            ("HIST220x", "Cities and Plagues, 1300–1900"),
            ("PHIL130x", "What Is a Good Argument?"),
            ("ECON201x", "Markets, Queues and Auctions"),
            ("MUS115x", "Hearing Harmony"),
            ("GEO180x", "Reading Landscapes"),
        ),
    ),
    University(
        org="HarbourU",
        name="Harbour University",
        phrases=EN,
        subjects=(
            ("MAR101", "Ocean Currents and Climate"),
            ("MAR240", "Harbours of the World: Trade & Tide"),
            ("LAW120", "Law of the Sea, in Plain Words"),
            ("NURS210", "Wound Care in the Community"),
            ("EDU305", "Teaching Adults Online"),
            ("FOOD160", "Bread: Chemistry and Craft 🍞"),
            ("ENG115", "Writing That People Finish"),
            ("PSY230", "Sleep and Memory"),
        ),
    ),
    University(
        org="CapeTechX",
        name="Cape Institute of Technology",
        phrases=EN,
        subjects=(
            ("EE101", "Circuits from the Battery Up"),
            ("EE350", "Signals, Noise and Filters"),
            ("ME220", "Why Bridges Stand"),
            ("ML400", "Machine Learning with Small Data"),
            ("SEC310", "Secure Web Services"),
            ("ROB280", "Robots that Walk"),
            ("MATH205", "Linear Algebra, Geometrically"),
            ("ENV190", "Solar Power for Villages"),
            ("SE330", "Testing Distributed Systems"),
        ),
    ),
    University(
        org="OpenGuildX",
        name="The Open Guild",
        phrases=EN,
        subjects=(
            ("PM100", "Project Management without Slides"),
            ("FIN120", "Reading a Balance Sheet"),
            ("HR140", "Interviewing Fairly"),
            ("DATA200", "SQL for Curious People"),
            ("UX210", 'Design Research: "Ask, Watch, Listen"'),
            ("SAFE001", "Fire Safety at Work"),
            ("GDPR010", "Personal Data & You"),
            ("LEAD300", "Leading Small Teams"),
        ),
    ),
    University(
        org="UMarAzul",
        name="Universidad del Mar Azul",
        phrases=ES,
        subjects=(
            ("MAT101", "Cálculo paso a paso"),
            ("HIS204", "Historia de las ciudades portuarias"),
            ("QUI150", "Química del agua"),
            ("ESP120", "Escritura académica en español"),
            ("AGR230", "Suelos y semillas"),
            ("ECO210", "Economía para vecinos"),
            ("ARQ180", "Arquitectura y sombra"),
            ("PED310", "Enseñar a leer en la niñez"),
        ),
    ),
    University(
        org="ValdeRioX",
        name="Instituto Valderrío",
        phrases=ES,
        subjects=(
            ("INF110", "Introducción a la programación con Python"),
            ("INF320", "Bases de datos: del papel a la nube"),
            ("TEL205", "Redes inalámbricas rurales"),
            ("MED140", "Primeros auxilios psicológicos"),
            ("MUS130", "Guitarra y armonía"),
            ("EMP220", "¿Y si fundamos una cooperativa?"),
            ("FIL115", "Ética de las máquinas"),
        ),
    ),
    University(
        org="GaronneX",
        name="Université de la Garonne",
        phrases=FR,
        subjects=(
            ("BIO101", "Le vivant à l'échelle de la cellule"),
            ("VIN210", "Géographie des vignobles"),
            ("MAT230", "Algèbre linéaire et images"),
            ("DRO120", "Introduction au droit du travail"),
            ("LIT305", "Écrire la ville : du feuilleton au blog"),
            ("AER340", "Pourquoi les avions volent"),
            ("ECO150", "Économie de l'eau"),
            ("PHI110", "Qu'est-ce qu'une preuve ?"),
        ),
    ),
    University(
        org="ElbtalTU",
        name="Technische Universität Elbtal",
        phrases=DE,
        subjects=(
            ("MB101", "Technische Mechanik für den Einstieg"),
            ("ET220", "Leistungselektronik"),
            ("INF150", "Algorithmen verständlich erklärt"),
            ("INF410", "Verteilte Systeme und ihre Tücken"),
            ("ARC130", "Bauen mit Holz"),
            ("PHY205", "Wärme, Arbeit, Entropie"),
            ("WIR180", "Genossenschaften gründen"),
            ("SPR100", "Deutsch für Ingenieurinnen und Ingenieure"),
        ),
    ),
    University(
        org="AltaSerraX",
        name="Universidade da Alta Serra",
        phrases=PT,
        subjects=(
            ("BOT120", "Plantas medicinais da serra"),
            ("ENF210", "Cuidados paliativos"),
            ("INF130", "Lógica de programação"),
            ("GEO225", "Cartografia participativa"),
            ("CIN140", "Cinema e memória"),
            ("EDU300", "Avaliação formativa na prática"),
            ("ZOO160", "Aves urbanas"),
        ),
    ),
    University(
        org="LagunaX",
        name="Università della Laguna",
        phrases=IT,
        subjects=(
            ("ART110", "Restauro: materiali e tecniche"),
            ("IDR230", "Maree, dighe e città"),
            ("MUS205", "L'opera in dieci scene"),
            ("STA120", "Statistica per le scienze sociali"),
            ("GAS150", "Chimica in cucina"),
            ("LET140", "Leggere i classici oggi"),
            ("DES260", "Progettare oggetti che durano"),
        ),
    ),
    University(
        org="MinatoX",
        name="みなと工科大学",
        phrases=JA,
        subjects=(
            ("ROB101", "やさしいロボット工学"),
            ("SEI210", "地震と建物"),
            ("JPN120", "学術日本語の書き方"),
            ("MAT150", "確率のものの見方"),
            ("DES230", "暮らしのデザイン"),
            ("INF340", "データベースの仕組み"),
            ("MUS110", "和楽器入門"),
        ),
    ),
    University(
        org="QingheX",
        name="清河大学",
        phrases=ZH,
        subjects=(
            ("MATH110", "微积分直观入门"),
            ("CS220", "操作系统原理与实践"),
            ("HIS130", "茶叶贸易的历史"),
            ("ENV240", "湿地生态学"),
            ("LAN100", "零基础汉语听说"),
            ("AI310", "小样本机器学习"),
            ("ART170", "书法：结构与气韵"),
        ),
    ),
    University(
        org="DarAlNahrX",
        name="جامعة دار النهر",
        phrases=AR,
        subjects=(
            ("ARB101", "الكتابة الأكاديمية بالعربية"),
            ("ENG210", "أساسيات الطاقة الشمسية"),
            ("MED130", "الإسعافات الأولية"),
            ("CS140", "مدخل إلى البرمجة"),
            ("HIS220", "طرق القوافل القديمة"),
            ("AGR160", "الزراعة في الأراضي الجافة"),
        ),
    ),
    University(
        org="VolnaX",
        name="Университет «Волна»",
        phrases=RU,
        subjects=(
            ("FIZ110", "Механика без страха"),
            ("MAT260", "Теория графов в задачах"),
            ("LIT130", "Как читать короткий рассказ"),
            ("INF205", "Сети и протоколы"),
            ("BIO170", "Экология озёр"),
            ("EKO120", "Экономика малого города"),
        ),
    ),
    University(
        org="AegeoX",
        name="Πανεπιστήμιο Αρχιπελάγους",
        phrases=EL,
        subjects=(
            ("NAF110", "Ιστορία της ναυσιπλοΐας"),
            ("FIL120", "Λογική και επιχειρήματα"),
            ("GEO205", "Ηφαίστεια και νησιά"),
            ("PLI130", "Προγραμματισμός για όλους"),
            ("TOU240", "Βιώσιμος τουρισμός"),
            ("MAT150", "Γεωμετρία με κανόνα και διαβήτη"),
        ),
    ),
    University(
        org="SongMayX",
        name="Đại học Sông Mây",
        phrases=VI,
        subjects=(
            ("NNG110", "Nông nghiệp bền vững vùng đồng bằng"),
            ("CNT120", "Nhập môn lập trình"),
            ("YTE210", "Dinh dưỡng cộng đồng"),
            ("KTE130", "Kinh tế hộ gia đình"),
            ("MTR220", "Nước sạch nông thôn"),
            ("VHO140", "Âm nhạc dân gian"),
        ),
    ),
)

#: ``(GRADER, GRADE_CUTOFFS)`` as courses set them in Studio.
GRADING_POLICIES = (
    (
        (("Homework", "HW", 10, 2, 0.4), ("Final Exam", "Final", 1, 0, 0.6)),
        {"Pass": 0.5},
    ),
    (
        (("Weekly Quiz", "Quiz", 12, 2, 0.3), ("Project", "Proj", 1, 0, 0.7)),
        {"Pass": 0.6},
    ),
    (
        (
            ("Homework", "HW", 8, 1, 0.25),
            ("Lab", "Lab", 6, 1, 0.25),
            ("Midterm Exam", "Mid", 1, 0, 0.2),
            ("Final Exam", "Final", 1, 0, 0.3),
        ),
        {"A": 0.87, "B": 0.74, "C": 0.61},
    ),
    (
        (("Essay", "Essay", 4, 0, 0.8), ("Peer Review", "Peer", 4, 1, 0.2)),
        {"A": 0.9, "B": 0.8, "C": 0.7, "D": 0.55},
    ),
    (
        (("Checklist", "Check", 1, 0, 1.0),),
        {"Pass": 1.0},
    ),
)

#: Names of uploaded card images, for ``{number}``: real ones have spaces, accents, odd extensions.
IMAGE_NAMES = (
    "{number}_card.jpg",
    "{number}-course-image-378x225.jpg",
    "card {number}.png",
    "{number} (versión final).jpg",
    "banner_{number}.webp",
    "imagen-portada-{number}.JPG",
)
